"""What processes use: CPU time for a piece of work, and peak memory, by name."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

MIB = 1024 * 1024


class Meter:
    """Measures named processes, each with all that it has started."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)

    @contextmanager
    def measuring(self, units: int) -> Iterator[None]:
        """Prints, after the block, each process's CPU time for one of so many units, and its peak memory."""
        for pid in self._family_pids():
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        before = {name: cpu_s(pid) for name, pid in self._pids.items()}
        yield
        for name, pid in self._pids.items():
            used_ms = 1000 * (cpu_s(pid) - before[name]) / units
            print(
                f"    {name:<24} {used_ms:7.3f} ms of CPU each   {peak_bytes(pid) / MIB:6.0f} MiB at most", flush=True
            )

    def _family_pids(self) -> list[int]:
        return [process.pid for pid in self._pids.values() for process in family(pid)]


def family(pid: int) -> list[psutil.Process]:
    """A process and its descendants that live; of this process itself only what it does on its own."""
    root = psutil.Process(pid)
    return [root] if pid == os.getpid() else [root, *root.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """CPU time of a process and its living descendants; of its dead children, what they told when they ended."""
    found = 0.0
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found += times.user + times.system
            if process.pid == pid != os.getpid():
                found += times.children_user + times.children_system
    return found


def own_cpu_s(pid: int) -> float:
    """CPU time of one process alone."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def children_cpu_s(pid: int) -> float:
    """CPU time of what a process has started and waited for."""
    times = psutil.Process(pid).cpu_times()
    return float(times.children_user + times.children_system)


def peak_bytes(pid: int) -> int:
    """The largest resident memory that any one process of the family has had."""
    return max((_peak_bytes(process.pid) for process in family(pid)), default=0)


def _peak_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
