"""The whole system, started as a user starts it: `manage.py up` in a folder of its own, watched from outside."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from scheduler_project.up import ports
from tests.support.processes import ROOT, Process, clean_environment
from tests.support.wait import wait_until

ONE_AT_A_TIME = Path(tempfile.gettempdir()) / "scheduler-tests-system.lock"
READY_WITHIN_S = 120.0
ANSWER_WITHIN_S = 10.0
DEMO_INSTANCES = 5


class System:
    """One running `up`. Everything that it does is seen through its faces: status file, HTTP, schedctl, ps."""

    def __init__(self, data_dir: Path, port: int, *options: str) -> None:
        self.data_dir = data_dir
        self.port = port
        self.env = clean_environment(SCHEDULER_DATA_DIR=str(data_dir), ADMIN_PASSWORD="a password for tests")
        argv = [sys.executable, "manage.py", "up", "--json", "--port", str(port), *options]
        self.process = Process(argv, data_dir.with_suffix(".log"), self.env)

    def start(self) -> "System":
        self.process.start()
        return self

    def wait_ready(self, timeout_s: float = READY_WITHIN_S) -> None:
        self.process.wait_for_line('"event": "ready"', timeout_s)

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.popen is not None and self.process.popen.poll() is None:
            self.process.popen.send_signal(2)
        return self.process.wait_ended(60)

    def events(self) -> list[dict[str, Any]]:
        """What `up` has told so far."""
        return [json.loads(line) for line in self.process.output.splitlines() if line.startswith("{")]

    def status(self) -> dict[str, Any]:
        """The state of each process, as `up` writes it down."""
        found: dict[str, Any] = json.loads((self.data_dir / "up.json").read_text())
        return found

    def pid_of(self, name: str) -> int | None:
        """The pid of a process that is up; None while it is not."""
        process = self.status()["processes"][name]
        return process["pid"] if process["up"] else None

    def http(self, path: str) -> tuple[int, str]:
        """Status and body of an address of the web process; (0, reason) while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=ANSWER_WITHIN_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def schedctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        env = {**self.env, "SCHEDCTL_CONFIG": str(self.data_dir / "schedctl.yaml")}
        return self._run([sys.executable, "-m", "schedctl", *words], env)

    def manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self._run([sys.executable, "manage.py", *words], self.env)

    def _run(self, argv: list[str], env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    def items(self, *words: str) -> list[dict[str, Any]]:
        """The rows that a listing command of schedctl shows."""
        done = self.schedctl("-o", "json", *words)
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        rows: list[dict[str, Any]] = shown if isinstance(shown, list) else shown["items"]
        return rows

    def wait_instances_run(self, timeout_s: float = 30) -> None:
        """Until control counts all instances of the demo as running."""

        def all_run() -> bool:
            return sum(service["actual"] for service in self.items("clusters", "status", "demo")) == DEMO_INSTANCES

        wait_until(all_run, timeout_s, every_s=0.5, what="all instances of the demo to run")

    def processes(self) -> list[psutil.Process]:
        """Every process of this system, also those that left the process tree: they carry its folder's name."""
        mark = f"{self.data_dir}"
        found = []
        for process in psutil.process_iter():
            try:
                named = mark in " ".join(process.cmdline()) or process.environ().get("SCHEDULER_DATA_DIR") == mark
                if process.pid != os.getpid() and (named or self.is_unit(process)):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def is_unit(self, process: psutil.Process) -> bool:
        return "SCHEDULER_UNIT" in process.environ() and str(self.data_dir) in str(process.environ())

    def server_processes(self) -> list[psutil.Process]:
        """The demo's HTTP servers that live now."""
        return [process for process in self.processes() if "http.server" in " ".join(process.cmdline())]


def running_system(data_dir: Path) -> Iterator[System]:
    """A ready system that is stopped, and killed to the last process, when the fixture that yields it is over.

    One at a time on a machine: two would contend for its cores, and be slower than what they are asked to show.
    """
    with ONE_AT_A_TIME.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = System(data_dir, ports.choose(0, set())).start()
        try:
            started.wait_ready()
            yield started
        finally:
            started.stop()
            for process in started.processes():
                process.kill()
