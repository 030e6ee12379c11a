"""The folder of one process: what was to run, that it started, how it ended, and its output.

The files are the truth between agent and supervisor: `spec` is written before the process is started, `started` after,
`ended` last, each by a rename, so a reader sees a whole file or none. A folder is used for one process only.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

UNITS = "units"
STREAMS = ("stdout", "stderr")


@dataclass(frozen=True)
class Spec:
    """A process to run. `stdin` is base64. Output files are cut to `output_keep_bytes` when above `output_max_bytes`.

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
    """How a process ended; exactly one of exit_code, signal, start_error and lost is set. Sizes count cut bytes too."""

    at: float
    exit_code: int | None = None
    signal: int | None = None
    start_error: str = ""
    lost: str = ""
    timed_out: bool = False
    cancelled: bool = False
    stdout_bytes: int = 0
    stderr_bytes: int = 0

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and not self.timed_out

    def __str__(self) -> str:
        if self.start_error or self.lost:
            return self.start_error or self.lost
        how = f"exit code {self.exit_code}" if self.signal is None else f"signal {self.signal}"
        return f"time limit, then {how}" if self.timed_out else how


class Folder:
    """One process's folder below the agent's state folder."""

    def __init__(self, state_dir: Path, name: str) -> None:
        self.name = name
        self.path = state_dir / UNITS / name

    def create(self, spec: Spec) -> None:
        """Raises FileExistsError when the folder was ever used before."""
        self.path.mkdir(parents=True)
        self._write("spec", spec)

    def started(self, start: Start) -> None:
        self._write("started", start)

    def ended(self, end: End) -> None:
        self._write("ended", end)

    def cut(self, dropped: dict[str, int]) -> None:
        """Remembers how many bytes were cut off each stream."""
        self._write_text("cut", json.dumps(dropped))

    def spec(self) -> Spec | None:
        found = self._read("spec")
        return None if found is None else Spec.of(found)

    def start(self) -> Start | None:
        found = self._read("started")
        return None if found is None else Start(**found)

    def end(self) -> End | None:
        found = self._read("ended")
        return None if found is None else End(**found)

    def dropped(self) -> dict[str, int]:
        return dict.fromkeys(STREAMS, 0) | (self._read("cut") or {})

    def size(self, stream: str) -> int:
        """Bytes in the stream's file now."""
        try:
            return (self.path / stream).stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, stream: str, offset: int, size: int) -> bytes:
        try:
            with (self.path / stream).open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return b""

    def remove(self) -> None:
        """Forgets the process; only once it has ended."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _write(self, name: str, value: Spec | Start | End) -> None:
        self._write_text(name, json.dumps(asdict(value)))

    def _write_text(self, name: str, text: str) -> None:
        part = self.path / f"{name}.part"
        part.write_text(text)
        part.replace(self.path / name)

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # the latter after a power failure
            return None


def unended(state_dir: Path) -> list[Folder]:
    """The folders of processes whose end is not recorded."""
    root = state_dir / UNITS
    if not root.is_dir():
        return []
    return [Folder(state_dir, path.name) for path in root.iterdir() if not (path / "ended").exists()]


def ended_before(state_dir: Path, moment: float) -> list[Folder]:
    """The folders of processes whose end was recorded before this time (Unix s)."""
    marks = (state_dir / UNITS).glob("*/ended")
    return [Folder(state_dir, mark.parent.name) for mark in marks if mark.stat().st_mtime < moment]
