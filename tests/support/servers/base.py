"""What all servers of the tests have in common.

Invariant: a server keeps its port and its data over `restart()`, `kill()` and `start()`, and touches no server, file or
port of the machine that is not its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from tests.support.processes import Process, ProcessEnded, clean_environment

LOOPBACK = "127.0.0.1"
UNPRIVILEGED_USER = "nobody"
START_TRIES = 3


class MissingServer(Exception):
    """A server's program is not on this machine; the text says what to install."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def answer(port: int, question: bytes = b"") -> bytes:
    """What the server on `port` says first after `question`; empty where there is no answer."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1) as connection:
        connection.sendall(question)
        return connection.recv(64)
    return b""


class Server(ABC):
    """One server with a folder of its own."""

    name: str
    start_timeout_s = 20.0
    stop_signal = signal.SIGTERM
    runs_as_root = False

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"scheduler-test-{self.name}-"))
        self.user = UNPRIVILEGED_USER if os.geteuid() == 0 and not self.runs_as_root else None
        if self.user:
            shutil.chown(self.folder, self.user)
        self.port = free_port()
        self.process = Process([], self.folder / "log")
        try:
            self.prepare()
            self._start_on_a_free_port()
        except BaseException:
            self.close()
            raise

    @property
    @abstractmethod
    def url(self) -> str:
        """The address in the form that this project's settings take."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments. Raises MissingServer."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server does its work."""

    def prepare(self) -> None:  # noqa: B027  (most servers need nothing)
        """Makes what the server needs before its first start."""

    def variables(self) -> Mapping[str, str]:
        """Variables for the server's environment."""
        return {}

    def start(self) -> Self:
        """Starts the server and waits until it answers."""
        environment = clean_environment(HOME=str(self.folder), **self.variables())
        self.process = Process(self.command(), self.folder / "log", environment, self.folder, self.user).start()
        self.process.wait_for(self.answers, self.start_timeout_s, what=f"an answer of {self.name}")
        return self

    def _start_on_a_free_port(self) -> None:
        for _ in range(START_TRIES - 1):
            with suppress(ProcessEnded):
                self.start()
                return
            self.port = free_port()
        self.start()

    def stop(self) -> None:
        """Stops the server in order; its data stay."""
        self.process.stop(self.stop_signal)

    def kill(self) -> None:
        """Kills the server as a crash would; its data stay."""
        self.process.kill()

    def restart(self) -> Self:
        """Stops in order and starts again on the same port with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stops for good and removes the data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *argv: str) -> None:
        """Runs a helper program of the server as the server's user."""
        helper = Process(argv, self.folder / "log", clean_environment(HOME=str(self.folder)), self.folder, self.user)
        if helper.start().wait_ended(60) != 0:
            raise ProcessEnded(f"{' '.join(argv)} failed\n{helper.output}")


def accepts(port: int) -> bool:
    """Whether somebody listens on `port`."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def may_run(program: Path, user: str | None) -> bool:
    """Whether `user` can reach and run a program; a virtual environment below /root is closed to others."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, user=user, check=False).returncode == 0
    except PermissionError:
        return False


def readable(program: Path, server: Server) -> str:
    """A path to `program` that the server's user can run: itself, or a copy in the server's folder."""
    if may_run(program, server.user):
        return str(program)
    copy = server.folder / program.name
    if not copy.exists():
        shutil.copy2(program, copy)
    return str(copy)


def copy_once(package: Path, server: Server) -> Path:
    """A copy of a wheel's package, and of the libraries beside it, in the server's folder."""
    target = server.folder / "site-packages" / package.name
    if not target.exists():
        shutil.copytree(package, target)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, target.with_name(libraries.name))
    return target


def package_folder(name: str) -> Path | None:
    """Where an installed package lies; found without importing it, since some look around on import."""
    found = find_spec(name)
    return Path(found.origin).parent if found and found.origin else None
