"""Real processes for tests: started in a group of their own, watched by their log, stopped by pid.

Invariant: a process started here ends with its test, and with the test run's own process even when that is killed.
"""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import psutil

from scheduler_project.toolkit.kernel import end_with_parent
from tests.support.trust import join_token
from tests.support.wait import wait_until
from workers.core.enrolment import HOST_PREFIX

Value = TypeVar("Value")

ROOT = Path(__file__).resolve().parents[2]
LOG_TAIL_CHARACTERS = 4000

OUR_VARIABLES = ("DATABASE_URL", "BROKER_URL", "NATS_URI", "NATS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE")
GONE_WITHIN_S = 5
OUR_PREFIXES = ("SCHEDULER_", "ETCD_", "PYTEST_", "COV_CORE_")


class ProcessEnded(AssertionError):
    """A process ended while something was still expected of it."""


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without the settings of the test run, and with the given variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in OUR_VARIABLES and not name.startswith(OUR_PREFIXES)
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **variables}


def unmeasured_environment() -> dict[str, str]:
    """This process's environment without what measures coverage in child processes, for tests of their speed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def end_all_of(folder: Path) -> None:
    """Ends every process that has the folder in its command line or its environment, in order where it can.

    An agent's supervisor and what it runs outlive the agent, and are nobody's child then.
    """
    mark, found = str(folder), []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            told = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(word == mark or f"{mark}/" in word for word in told):
                process.terminate()
                found.append(process)
    _, living = psutil.wait_procs(found, timeout=GONE_WITHIN_S)
    for process in living:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@dataclass
class Process:
    """One program of a test. `log` receives its output and its errors; `user` is who runs it (root's tests only)."""

    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=clean_environment)
    cwd: Path = ROOT
    user: str | None = None
    popen: subprocess.Popen[bytes] | None = None
    _group_ended: bool = False

    def start(self) -> Self:
        """Starts the program; its log is appended to, so that a restart keeps what was said before."""
        self._group_ended = False
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.argv,
                env=dict(self.env),
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, signal.SIGKILL),
                user=self.user,
                group=self.user and pwd.getpwnam(self.user).pw_gid,
                extra_groups=self.user and [],
            )
        return self

    @property
    def pid(self) -> int:
        """The pid of the running program. Raises ProcessEnded where it was never started."""
        if self.popen is None:
            raise ProcessEnded(f"{self.argv[0]} was not started")
        return self.popen.pid

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self.popen is not None and self.popen.poll() is None

    @property
    def output(self) -> str:
        """All that the program has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for(self, probe: Callable[[], Value | None], timeout_s: float = 30, what: str = "") -> Value:
        """The first true value of `probe`. Raises AssertionError, with the log's end, when it ends or is too late."""

        def checked() -> Value | None:
            if not self.alive:
                raise ProcessEnded(f"{' '.join(self.argv)} ended\n{self.output[-LOG_TAIL_CHARACTERS:]}")
            return probe()

        try:
            return wait_until(checked, timeout_s, what=what)
        except ProcessEnded:
            raise
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output[-LOG_TAIL_CHARACTERS:]}") from None

    def wait_for_line(self, text: str, timeout_s: float = 30) -> str:
        """The first line of the log that holds `text`."""

        def line() -> str:
            return next((one for one in self.output.splitlines() if text in one), "")

        return self.wait_for(line, timeout_s, what=f"a line with {text!r}")

    def wait_ended(self, timeout_s: float = 30) -> int:
        """The exit code, once the program has ended."""
        if self.popen is None:
            raise ProcessEnded(f"{self.argv[0]} was not started")
        return self.popen.wait(timeout_s)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM, timeout_s: float = 15) -> None:
        """Asks the program to end, and kills its whole group after `timeout_s`."""
        if self.popen is None:
            return
        if self.alive:
            self.popen.send_signal(with_signal)
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """Kills the program and its children at once, as a crash would; once, since its pid may be another's later."""
        if self.popen is None or self._group_ended:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self._group_ended = True


class Processes:
    """Starts programs for one test and stops them, last first, when it is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Process] = []

    def start(self, argv: Sequence[str], **variables: str) -> Process:
        """Starts any program in the project's root, with a clean environment and the given variables."""
        log = self.folder / f"process-{len(self._started)}.log"
        process = Process(argv, log, clean_environment(**variables))
        self._started.append(process)
        return process.start()

    def python(self, *arguments: str, **variables: str) -> Process:
        """Starts this Python with arguments, in the project's root."""
        return self.start([sys.executable, *arguments], **variables)

    def celery(self, *arguments: str, **variables: str) -> Process:
        """Starts `celery -A scheduler_project …`, say with `"worker", "-Q", "control"`."""
        return self.python("-m", "celery", "-A", "scheduler_project", *arguments, **variables)

    def worker(self, queue: str, broker_url: str, **variables: str) -> Process:
        """A Celery worker on `queue` that has said it is ready. An agent joins the control side of this database."""
        folder = variables.pop("SCHEDULER_DATA_DIR", str(self.folder / queue))
        if queue.startswith(HOST_PREFIX) and "SCHEDULER_JOIN_TOKEN" not in variables:
            variables["SCHEDULER_JOIN_TOKEN"] = join_token()
        process = self.celery(
            "worker",
            "-Q",
            queue,
            "-l",
            "INFO",
            BROKER_URL=broker_url,
            SCHEDULER_DATA_DIR=folder,
            SECRET_KEY=os.environ.get("SECRET_KEY", "tests-only"),
            **variables,
        )
        process.wait_for_line(" ready.", timeout_s=60)
        return process

    @property
    def running(self) -> list[Process]:
        """What was started and has not ended."""
        return [process for process in self._started if process.alive]

    def end_all(self) -> None:
        """Stops everything that still runs, and what agents left running."""
        for process in reversed(self._started):
            process.stop()
        end_all_of(self.folder)

    def stop_all(self) -> None:
        """Stops everything, and shows what each said (pytest prints it where the test failed)."""
        self.end_all()
        for process in reversed(self._started):
            print(f"--- {' '.join(process.argv)}\n{process.output[-LOG_TAIL_CHARACTERS:]}")  # noqa: T201
