"""What Linux says about processes, read from /proc.

A process is named by its pid and start time together, since pids are used again. Only the standard library is
imported here, as the supervisor must stay small.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")
STATE, PARENT, GROUP, START_TICKS = 0, 1, 2, 19
STAT_BYTES_MAX = 4096


@dataclass(frozen=True)
class Stat:
    """One process: its state letter, process group and start time (clock ticks since boot)."""

    state: str
    group: int
    started_ticks: int


@cache
def boot_id() -> str:
    """New at each boot of the host."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        told = os.read(file, STAT_BYTES_MAX)
    except ProcessLookupError:
        return None
    finally:
        os.close(file)
    fields = told[told.rindex(b")") + 2 :].split()
    return Stat(state=fields[STATE].decode(), group=int(fields[GROUP]), started_ticks=int(fields[START_TICKS]))


def is_alive(pid: int, started_ticks: int) -> bool:
    """Whether this very process still runs; a zombie does not."""
    found = stat(pid)
    return found is not None and found.started_ticks == started_ticks and found.state not in "ZX"


def pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir(PROC) if entry.name.isdigit()]


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    found = ((pid, stat(pid)) for pid in pids())
    return [pid for pid, its in found if its is not None and its.group == group and its.state not in "ZX"]


def marked(name: str) -> dict[str, list[int]]:
    """Living processes by the value that the variable `name` has in their environment."""
    prefix = f"{name}=".encode()
    found: dict[str, list[int]] = {}
    for pid in pids():
        for entry in _environment(pid):
            if entry.startswith(prefix):
                found.setdefault(os.fsdecode(entry[len(prefix) :]), []).append(pid)
                break
    return found


def _environment(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone meanwhile, or not ours to read
        return []
