"""The agent's end of the supervisor's socket: orders out, events in, and a new supervisor whenever there is none.

Invariant: every process that was ordered and whose end has not been heard is ordered again on each new connection;
the supervisor starts it once, so this only asks what became of it.
"""

import asyncio
import base64
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from workers.agent.folders import End, Spec, Start, ended_before
from workers.agent.supervisor import EXIT_BUSY, SOCKET, socket_address

log = logging.getLogger(__name__)

Event = Start | End
Listener = Callable[[Event], None]
RETRY_S = 0.05
PAUSE_MAX_S = 5.0
LIVES_S = 10.0
LINE_MAX_BYTES = 1 << 22
PROJECT_DIR = Path(__file__).resolve().parents[2]


class SupervisorLink:
    """Starts and stops processes by name. `batch` encloses the handling of events that arrived together."""

    def __init__(self, state_dir: Path, batch: Callable[[], AbstractContextManager[None]]) -> None:
        self._dir = state_dir
        self._batch = batch
        self._wanted: dict[str, tuple[Spec, Listener]] = {}
        self._stops: dict[str, float] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._supervisor_pid = 0
        self._next_start_at = -LIVES_S
        self._pause_s = RETRY_S

    def start(self, name: str, spec: Spec, listener: Listener) -> None:
        """Runs a process once. The listener hears its Start, possibly again after a reconnect, and then its End."""
        self._wanted[name] = (spec, listener)
        self._send_start(name)

    def stop(self, name: str, grace_s: float) -> None:
        """Asks for the end of a process; it is heard by its listener."""
        if name in self._wanted:
            self._stops[name] = min(grace_s, self._stops.get(name, grace_s))
            self._send({"op": "stop", "id": name, "grace_s": self._stops[name]})

    def remove_ended(self, older_than_s: float) -> None:
        """Removes folders that nobody took away, as the agent was killed just before it would have."""
        for folder in ended_before(self._dir, time.time() - older_than_s):
            if folder.name not in self._wanted:
                folder.remove()

    async def run(self) -> None:
        """Keeps the connection for ever; cancel it to let go of the supervisor, which goes on."""
        while True:
            connection = self._connect()
            if connection is None:
                self._ensure_supervisor()
                await asyncio.sleep(RETRY_S)
                continue
            reader, self._writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_MAX_BYTES)
            try:
                self._repeat_orders()
                await self._listen(reader)
            finally:
                self._writer.close()
                self._writer = None
            log.warning("supervisor.gone state_dir=%s", self._dir)

    def _connect(self) -> socket.socket | None:
        if not (self._dir / SOCKET).exists():
            return None
        directory = os.open(self._dir, os.O_RDONLY)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(socket_address(directory))
        except OSError:
            connection.close()
            return None
        finally:
            os.close(directory)
        connection.setblocking(False)
        return connection

    def _ensure_supervisor(self) -> None:
        """Starts one unless the last one still lives, or ended so soon that another would too."""
        now = time.monotonic()
        if now < self._next_start_at or (self._supervisor_pid and not self._supervisor_ended()):
            return
        quick = now - self._next_start_at < LIVES_S
        self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2) if quick else RETRY_S
        self._next_start_at = now + self._pause_s
        output = str(self._dir / "supervisor.log")
        self._supervisor_pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "workers.agent.supervisor", str(self._dir)],
            supervisor_environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def _supervisor_ended(self) -> bool:
        try:
            pid, status = os.waitpid(self._supervisor_pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid and os.waitstatus_to_exitcode(status) not in (0, EXIT_BUSY):
            log.warning("supervisor.ended status=%d state_dir=%s", os.waitstatus_to_exitcode(status), self._dir)
        return pid != 0

    def _repeat_orders(self) -> None:
        for name in list(self._wanted):
            self._send_start(name)
        for name, grace_s in self._stops.items():
            self._send({"op": "stop", "id": name, "grace_s": grace_s})

    def _send_start(self, name: str) -> None:
        self._send({"op": "start", "id": name, "spec": vars(self._wanted[name][0])})

    def _send(self, request: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(msgspec.json.encode(request) + b"\n")

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        while piece := await _read(reader):
            *lines, rest = (rest + piece).split(b"\n")
            events = [msgspec.json.decode(line) for line in lines]
            with self._batch():
                for event in events:
                    self._handle(event)

    def _handle(self, event: dict[str, Any]) -> None:
        name = event["id"]
        if name not in self._wanted:
            return
        listener = self._wanted[name][1]
        if event["event"] == "started":
            listener(Start(**event["start"]))
            return
        del self._wanted[name]
        self._stops.pop(name, None)
        listener(End(**event["end"]))


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1 << 18)
    except OSError:
        return b""


def supervisor_environment() -> dict[str, str]:
    """What the supervisor itself needs; its processes get theirs from their orders."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "PYTHONPATH": str(PROJECT_DIR), "PYTHONDONTWRITEBYTECODE": "1"}


def as_text(stdin: bytes) -> str:
    """How `Spec.stdin` carries bytes."""
    return base64.b64encode(stdin).decode()
