"""One supervised process: how it is started, watched and stopped.

Invariant: a process is in a session of its own, so that Ctrl-C reaches only `up`, and is told to end by the kernel when
`up` dies, so that nothing is left behind.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scheduler_project.toolkit.kernel import end_with_parent
from scheduler_project.up.ports import answers

FIRST_RESTART_DELAY_S = 0.5
LAST_RESTART_DELAY_S = 10.0
STEADY_AFTER_S = 10.0
LOG_LIMIT_BYTES = 10_000_000


@dataclass(frozen=True)
class ProcessSpec:
    """What to run. It counts as up when it accepts connections on `port` and has logged `ready_text`, where given."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    ready_text: str = ""
    stop_wave: int = 0
    stop_signal: int = signal.SIGTERM


def restart_delay_s(failures: int) -> float:
    """Back-off before start number `failures + 1`: doubles from half a second, bounded so that work is back soon."""
    return min(FIRST_RESTART_DELAY_S * 2 ** max(failures - 1, 0), LAST_RESTART_DELAY_S)


class ManagedProcess:
    """A process that is restarted when it dies. All times are seconds of one monotonic clock, passed in."""

    def __init__(self, spec: ProcessSpec, log_folder: Path) -> None:
        self.spec = spec
        self.log_path = log_folder / f"{spec.name}.log"
        self.child: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.failures = 0
        self.start_at = 0.0
        self.was_up = False
        self.log_start = 0

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child is not None else None

    def start(self, now: float) -> None:
        """Starts the process with its output appended to its log."""
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            self.log_start = log.tell()
            self.child = subprocess.Popen(
                self.spec.argv,
                env={**os.environ, **self.spec.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, signal.SIGTERM),
            )
        self.started_at = now
        self.was_up = False

    def poll(self, now: float) -> int | None:
        """The exit status if the process has just ended; its restart is then planned."""
        if self.child is None:
            return None
        status = self.child.poll()
        if status is None:
            if self.failures and now - self.started_at > STEADY_AFTER_S:
                self.failures = 0
            return None
        self.child = None
        self.was_up = False
        self.failures += 1
        self.start_at = now + restart_delay_s(self.failures)
        return status

    def is_due(self, now: float) -> bool:
        return self.child is None and now >= self.start_at

    def is_up(self) -> bool:
        """Alive, and has shown once since its start that it works."""
        if self.child is None:
            return False
        if not self.was_up:
            port_answers = self.spec.port is None or answers(self.spec.port)
            self.was_up = port_answers and self._has_logged(self.spec.ready_text)
        return self.was_up

    def _has_logged(self, text: str) -> bool:
        if not text:
            return True
        with self.log_path.open("rb") as log:
            log.seek(self.log_start)
            return text.encode() in log.read()

    def send(self, number: int) -> None:
        """Signals the process; one that is gone is no error."""
        if self.child is not None:
            self.child.send_signal(number)

    def send_to_leftovers(self) -> None:
        """Ends what the process, already gone, has left in its group."""
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)


def describe_status(status: int) -> str:
    """`exit code 3` or `signal 9 (SIGKILL)`."""
    if status >= 0:
        return f"exit code {status}"
    return f"signal {-status} ({signal.Signals(-status).name})"
