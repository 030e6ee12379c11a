"""The supervisor: parent of every process that an agent runs, and outlives the agent.

Run as `python -m workers.agent.supervisor DIR`. It takes orders as JSON lines over a socket in DIR and tells what
happened the same way; what it tells is also in the processes' folders, so a lost line loses nothing. Only the standard
library is imported. Invariant: at most one supervisor works on DIR (a file lock says so), and a folder's process is
started at most once, by any number of supervisors in turn.
"""

import fcntl
import heapq
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from workers.agent import procfs
from workers.agent.folders import UNITS, End, Folder, Spec, Start, unended
from workers.agent.process import (
    MARKER,
    NEVER_SEEN,
    NO_PARENT,
    REBOOTED,
    Process,
    kill,
    outcome_of,
    spawn,
    start_of,
    uptime_s,
)
from workers.agent.strays import Strays

SOCKET, LOCK, PID = "supervisor.sock", "supervisor.lock", "supervisor.pid"
CUT_INTERVAL_S = 2.0
TELL_INTERVAL_S = 0.005
SHUTDOWN_GRACE_MAX_S = 5.0
ALONE_MAX_S = 60.0
EXIT_BUSY = 3


def main() -> int:
    """Supervises the folder named on the command line until SIGTERM, or until nobody needs it any more."""
    state_dir = Path(sys.argv[1]).absolute()
    (state_dir / UNITS).mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (state_dir / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return EXIT_BUSY
    Supervisor(state_dir).run()
    return 0


def socket_address(directory: int) -> str:
    """The socket's address by an open directory, as a path of any length would not fit a socket address."""
    return f"/proc/self/fd/{directory}/{SOCKET}"


class Client:
    """A connected agent; lines may arrive in parts, and leave in parts when it reads slowly."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = b""
        self._unsent = b""

    def receive(self) -> list[bytes] | None:
        """The lines that are complete, each a request in JSON; None when the agent has gone."""
        try:
            piece = self.connection.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not piece:
            return None
        *lines, self._received = (self._received + piece).split(b"\n")
        return lines

    def send(self, event: dict[str, Any]) -> None:
        self._unsent += json.dumps(event).encode() + b"\n"

    def flush(self) -> bool:
        """Sends what fits. True while something is left."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.connection.send(self._unsent) :]
        except BlockingIOError:
            return True
        except OSError:
            self._unsent = b""
        return bool(self._unsent)


class Supervisor:
    """The loop: requests, ends of processes and deadlines."""

    def __init__(self, state_dir: Path) -> None:
        self._dir = state_dir
        self._selector = selectors.DefaultSelector()
        self._clients: set[Client] = set()
        self._live: dict[str, Process] = {}
        self._by_pid: dict[int, Process] = {}
        self._timers: list[tuple[float, str]] = []
        self._cut_at = 0.0
        self._told_at = 0.0
        self._needed_until = uptime_s() + ALONE_MAX_S
        self._stopping = False
        self._strays = Strays(state_dir / UNITS, self._live.__contains__)

    def run(self) -> None:
        """Returns when every process has been stopped after SIGTERM, or when it was long without process and agent."""
        (self._dir / PID).write_text(f"{os.getpid()}\n")
        self._watch_signals()
        self._adopt()
        self._strays.expect(uptime_s())
        directory = os.open(self._dir, os.O_RDONLY)
        listener = self._listen(directory)
        while not self._is_done():
            self._wait()
            self._work()
        self._strays.kill()
        listener.close()
        for name in (SOCKET, PID):
            (self._dir / name).unlink(missing_ok=True)

    def _is_done(self) -> bool:
        return not self._live and (self._stopping or uptime_s() >= self._needed_until)

    def _watch_signals(self) -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._signals = (reader, writer)
        self._selector.register(reader, selectors.EVENT_READ, reader)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _listen(self, directory: int) -> socket.socket:
        (self._dir / SOCKET).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(socket_address(directory))
        listener.listen()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, listener)
        self._listener = listener
        return listener

    def _wait(self) -> None:
        now = uptime_s()
        waits = [self._timers[0][0] - now] if self._timers else []
        if self._live:
            waits.append(self._cut_at - now)
        elif not self._clients:
            waits.append(self._needed_until - now)
        if self._strays.due_at is not None:
            waits.append(self._strays.due_at - now)
        timeout_s = max(0.0, min(waits)) if waits else None
        for key, mask in self._selector.select(timeout_s):
            self._ready(key.data, mask)

    def _ready(self, source: Any, mask: int) -> None:
        if isinstance(source, Client):
            if mask & selectors.EVENT_READ:
                self._receive(source)
        elif isinstance(source, Process):
            self._orphan_ended(source)
        elif source is self._listener:
            self._accept()
        else:
            source.recv(4096)

    def _work(self) -> None:
        now = uptime_s()
        if self._live or self._clients:
            self._needed_until = now + ALONE_MAX_S
        if self._stopping:
            for process in list(self._live.values()):
                process.stop(min(process.spec.grace_s, SHUTDOWN_GRACE_MAX_S), now)
                self._tick(process, now)
        self._reap()
        while self._timers and self._timers[0][0] <= now:
            _, name = heapq.heappop(self._timers)
            if name in self._live:
                self._tick(self._live[name], now)
        if self._live and now >= self._cut_at:
            self._cut_at = now + CUT_INTERVAL_S
            for process in self._live.values():
                process.cut_output()
        self._strays.tick(now)
        self._flush()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        client = Client(connection)
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _receive(self, client: Client) -> None:
        lines = client.receive()
        if lines is None:
            self._selector.unregister(client.connection)
            client.connection.close()
            self._clients.discard(client)
            self._needed_until = uptime_s() + ALONE_MAX_S
            return
        for line in lines:
            request = json.loads(line)
            if request["op"] == "start" and not self._stopping:
                self._start(Folder(self._dir, request["id"]), Spec.of(request["spec"]), line)
                self._tell_meanwhile(uptime_s())
            elif request["id"] in self._live:
                process = self._live[request["id"]]
                process.cancel(request["grace_s"], uptime_s())
                self._tick(process, uptime_s())

    def _tell_meanwhile(self, now: float) -> None:
        """Between many starts: what has ended makes room, which the agent can use only when it hears of it."""
        if now - self._told_at > TELL_INTERVAL_S:
            self._told_at = now
            self._reap()
            self._flush()

    def _start(self, folder: Folder, spec: Spec, line: bytes) -> None:
        """Starts the process, or tells again what became of it when it was started before."""
        if folder.name in self._live:
            self._tell_started(self._live[folder.name])
            return
        try:
            result = spawn(folder, spec, line)
        except FileExistsError:
            known = folder.end()
            self._tell_ended(folder.name, known or End(at=time.time(), lost=NEVER_SEEN))
            return
        if isinstance(result, End):
            self._tell_ended(folder.name, result)
            return
        self._hold(result)
        self._by_pid[result.start.pid] = result
        self._tell_started(result)

    def _hold(self, process: Process) -> None:
        self._live[process.folder.name] = process
        self._schedule(process, process.due_at())

    def _schedule(self, process: Process, moment: float | None) -> None:
        if moment is not None:
            heapq.heappush(self._timers, (moment, process.folder.name))

    def _tick(self, process: Process, now: float) -> None:
        again_at = process.tick(now)
        if process.end is None:
            self._schedule(process, again_at)
            return
        self._live.pop(process.folder.name, None)
        self._strays.expect(now)
        self._tell_ended(process.folder.name, process.end)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process = self._by_pid.pop(pid, None)
            if process is not None:
                process.leader_ended(outcome_of(status), used)
                self._tick(process, uptime_s())

    def _adopt(self) -> None:
        """Takes over what an earlier supervisor, which was killed, has left."""
        marked = procfs.marked(MARKER)
        for folder in unended(self._dir):
            spec = folder.spec()
            if spec is None:
                folder.remove()
                continue
            self._adopt_one(folder, spec, marked.get(folder.stem, []))

    def _adopt_one(self, folder: Folder, spec: Spec, pids: list[int]) -> None:
        start = folder.start() or _unrecorded(folder, pids)
        if start is None or start.boot_id != procfs.boot_id() or not procfs.is_alive(start.pid, start.started_ticks):
            kill(pids)
            folder.ended(_lost_end(folder, start))
            return
        process = Process(folder, spec, start, folder.dropped())
        self._hold(process)
        self._selector.register(os.pidfd_open(start.pid), selectors.EVENT_READ, process)

    def _orphan_ended(self, process: Process) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is process:
                self._selector.unregister(key.fd)
                os.close(key.fd)
        process.leader_ended(End(at=time.time(), lost=NO_PARENT))
        self._tick(process, uptime_s())

    def _tell_started(self, process: Process) -> None:
        self._tell({"event": "started", "id": process.folder.name, "start": vars(process.start)})

    def _tell_ended(self, name: str, end: End) -> None:
        self._tell({"event": "ended", "id": name, "end": vars(end)})

    def _tell(self, event: dict[str, Any]) -> None:
        for client in self._clients:
            client.send(event)

    def _flush(self) -> None:
        for client in self._clients:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.flush() else 0)
            if self._selector.get_key(client.connection).events != events:
                self._selector.modify(client.connection, events, client)


def _unrecorded(folder: Folder, pids: list[int]) -> Start | None:
    """The start of a process that its supervisor could not record any more; the group's leader is the first of it."""
    for pid in pids:
        its = procfs.stat(pid)
        if its is not None and its.group == pid:
            start = start_of(pid)
            folder.started(start)
            return start
    return None


def _lost_end(folder: Folder, start: Start | None) -> End:
    reason = NEVER_SEEN if start is None else NO_PARENT if start.boot_id == procfs.boot_id() else REBOOTED
    dropped = folder.dropped()
    return End(
        at=time.time(),
        lost=reason,
        stdout_bytes=folder.size("stdout") + dropped["stdout"],
        stderr_bytes=folder.size("stderr") + dropped["stderr"],
    )


if __name__ == "__main__":
    sys.exit(main())
