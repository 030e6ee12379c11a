"""What is kept of one process: what was to run, that it started, how it ended, and its output.

The files are the truth between agent and supervisor. The record is lines of JSON that are only appended, in this order
of events: what is to run before the process is started, its start after, its end last; a line that a power failure cut
short counts as not written. A name is used for one process only.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNITS = "units"
STREAMS = ("stdout", "stderr")
RECORD = ".record"


@dataclass(frozen=True)
class Spec:
    """A process to run. `stdin` is base64. Output files are cut to `output_keep_bytes` when above `output_max_bytes`.

    `user`, empty for the agent's own, and the limits, 0 for none, are those of `protocol.RunCommand`; `cgroup` is the
    folder below which a process with a memory limit gets a cgroup of its own.
    `sweep`: at its end also kill what left its process group (recognised by the marker in its environment).
    """

    unit: str
    attempt: int
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    stdin: str = ""
    timeout_s: float = 0
    grace_s: float = 10
    output_keep_bytes: int = 0
    output_max_bytes: int = 10_485_760
    sweep: bool = False
    user: str = ""
    memory_mb: int = 0
    cpu_seconds: int = 0
    open_files: int = 0
    cgroup: str = ""

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> "Spec":
        """Reads a mapping of another version of this program too: what is not known here is left out."""
        return cls(**{key: value for key, value in mapping.items() if key in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Start:
    """A process that was started: `at` in Unix s, `up_s` in seconds since boot."""

    pid: int
    started_ticks: int
    boot_id: str
    at: float
    up_s: float


@dataclass(frozen=True)
class End:
    """How a process ended; exactly one of exit_code, signal, start_error and lost is set. Sizes count cut bytes too.

    `start_error_kind` and `usage` are those of `protocol.Ended`; `usage` is None where it could not be measured.
    """

    at: float
    exit_code: int | None = None
    signal: int | None = None
    start_error: str = ""
    lost: str = ""
    timed_out: bool = False
    cancelled: bool = False
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    start_error_kind: str = ""
    usage: dict[str, float] | None = None

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and not self.timed_out

    def __str__(self) -> str:
        if self.start_error or self.lost:
            return self.start_error or self.lost
        how = f"exit code {self.exit_code}" if self.signal is None else f"signal {self.signal}"
        return f"time limit, then {how}" if self.timed_out else how


class Folder:
    """One process's place in the agent's state folder: files that share its name, as few as can be.

    `stem` is the path that they all begin with.

    Making a directory for each would cost as much as starting the process.
    """

    def __init__(self, state_dir: Path, name: str) -> None:
        self.name = name
        self.stem = f"{state_dir}/{UNITS}/{name}"
        self._record = f"{self.stem}{RECORD}"

    @classmethod
    def at(cls, stem: str) -> "Folder":
        """The one with this `stem`."""
        path = Path(stem)
        return cls(path.parent.parent, path.name)

    @property
    def path(self) -> Path:
        return Path(self.stem)

    def create(self, spec: Spec) -> None:
        """Raises FileExistsError when the name was ever used before."""
        self.create_from(spec_line(spec))

    def create_from(self, line: bytes) -> None:
        """As `create`, from JSON that has the spec under `spec`; what else is in it does not count."""
        self._write(line, os.O_CREAT | os.O_EXCL)

    def exists(self) -> bool:
        return os.path.exists(self._record)  # noqa: PTH110

    def file(self, part: str) -> str:
        """The path of one of its files, such as `stdout`."""
        return f"{self.stem}.{part}"

    def started(self, start: Start) -> None:
        self._write(encoded({"started": vars(start)}))

    def ended(self, end: End) -> None:
        self._write(encoded({"ended": vars(end)}))

    def cut(self, dropped: dict[str, int]) -> None:
        """Remembers how many bytes were cut off each stream."""
        self._write(encoded({"cut": dropped}))

    def spec(self) -> Spec | None:
        found = self._read().get("spec")
        return None if found is None else Spec.of(found)

    def start(self) -> Start | None:
        found = self._read().get("started")
        return None if found is None else Start(**found)

    def end(self) -> End | None:
        found = self._read().get("ended")
        return None if found is None else End(**found)

    def tell(self, text: str) -> None:
        """What the process itself says of its end, beside its exit code."""
        self._write(encoded({"told": text}))

    def told(self) -> str:
        return str(self._read().get("told", ""))

    def dropped(self) -> dict[str, int]:
        return dict.fromkeys(STREAMS, 0) | self._read().get("cut", {})

    def size(self, stream: str) -> int:
        """Bytes in the stream's file now."""
        try:
            return os.stat(self.file(stream)).st_size  # noqa: PTH116
        except FileNotFoundError:
            return 0

    def read(self, stream: str, offset: int, size: int) -> bytes:
        try:
            with open(self.file(stream), "rb", buffering=0) as file:  # noqa: PTH123
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""

    def remove(self) -> None:
        """Forgets the process; only once it has ended. The record goes last, so what is left over is found again."""
        for path in (*map(self.file, STREAMS), self._record):
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108

    def _write(self, line: bytes, flags: int = 0) -> None:
        """One write: a kill leaves a whole line or none. It begins a line of its own, whatever is before it."""
        record = os.open(self._record, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o600)
        try:
            os.write(record, b"\n" + line + b"\n")
        finally:
            os.close(record)

    def _read(self) -> dict[str, Any]:
        """The last of each event."""
        found: dict[str, Any] = {}
        with suppress(FileNotFoundError):
            for line in Path(self._record).read_bytes().splitlines():
                with suppress(ValueError):  # after a power failure
                    found |= json.loads(line or b"{}")
        return found


def spec_line(spec: Spec) -> bytes:
    """A spec as the record has it."""
    return encoded({"spec": vars(spec)})


def encoded(told: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    return json.dumps(told).encode()


def folders(state_dir: Path) -> Iterator[Folder]:
    """Everything that is kept."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(state_dir / UNITS):
            if entry.name.endswith(RECORD):
                yield Folder(state_dir, entry.name.removesuffix(RECORD))


def unended(state_dir: Path) -> list[Folder]:
    """The processes whose end is not recorded."""
    return [folder for folder in folders(state_dir) if folder.end() is None]


def ended_before(state_dir: Path, moment: float) -> list[Folder]:
    """The processes whose end was recorded before this time (Unix s)."""
    found = ((folder, folder.end()) for folder in folders(state_dir))
    return [folder for folder, end in found if end is not None and end.at < moment]
