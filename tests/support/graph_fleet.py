"""Bridges, control workers, a clock and a web process as real processes, over PostgreSQL, NATS and a broker.

They can be killed and started again by name. Invariant: what ends without having been killed here fails the test.
"""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.support.graph_logs import Event
from tests.support.processes import Process, Processes
from tests.support.servers import NatsServer, PostgresServer, ValkeyServer, free_port
from tests.support.wait import wait_until

READY_WITHIN_S = 90
STOPPED_WITHIN_S = 20
ENDS_BY_SIGNAL = {"web": -signal.SIGTERM}  # uvicorn, once it has stopped in order
MEBIBYTE = 1 << 20
WORKER = ("-m", "celery", "-A", "scheduler_project", "worker", "-l", "INFO", "--concurrency", "2", "-Q")
BEAT = ("-m", "celery", "-A", "scheduler_project", "beat", "-l", "INFO")
WEB = ("-m", "uvicorn", "scheduler_project.asgi:application", "--no-access-log", "--port")
MEMBERS = {
    "bridge-1": (*WORKER, "nats"),
    "bridge-2": (*WORKER, "nats"),
    "control-1": (*WORKER, "control"),
    "control-2": (*WORKER, "control"),
    "clock": BEAT,
    "web": WEB,
}
READY = {"bridge": " ready.", "control": " ready.", "clock": "beat: Starting", "web": "Uvicorn running"}


class GraphFleet:
    """`members` are our processes by name, `kills` how often each was killed."""

    def __init__(
        self, processes: Processes, postgres: PostgresServer, nats: NatsServer, broker: ValkeyServer, database_url: str
    ) -> None:
        self.postgres, self.nats, self.broker = postgres, nats, broker
        self.members: dict[str, Process] = {}
        self.kills: Counter[str] = Counter()
        self._database_url = database_url
        self._processes = processes
        self._peaks: dict[str, float] = {}
        self._said: Counter[str] = Counter()

    def start(self) -> None:
        """Starts all, and returns when each is ready."""
        self._processes.python("manage.py", "migrate", "-v", "0", **self._variables("migrate")).wait_ended(90)
        for name, argv in MEMBERS.items():
            more = (str(free_port()),) if name == "web" else ()
            self.members[name] = self._processes.python(*argv, *more, **self._variables(name))
        self.wait_ready()

    def wait_ready(self) -> None:
        """Until each has said that it is ready since it was started last."""
        for name, process in self.members.items():
            process.wait_for(partial(self._is_ready, name), READY_WITHIN_S, what=f"{name} to be ready")

    def _is_ready(self, name: str) -> bool:
        return READY[name.partition("-")[0]] in self.members[name].output[self._said[name] :]

    def _variables(self, name: str) -> dict[str, str]:
        return {
            "DATABASE_URL": self._database_url,
            "BROKER_URL": self.broker.url,
            "NATS_URI": self.nats.url,
            "SECRET_KEY": "tests-only",
            "SCHEDULER_DATA_DIR": str(self._processes.folder / name),
        }

    def watch(self, probe: Callable[[], bool], timeout_s: float) -> None:
        """Until `probe` is true; all the time nothing may end by itself, and its memory is looked at."""

        def probed() -> bool:
            self.look()
            return probe()

        wait_until(probed, timeout_s, every_s=0.5)

    def look(self) -> None:
        """Fails where a process has ended by itself; notes how much memory each takes."""
        for name, process in self.members.items():
            assert process.alive, f"{name} ended by itself\n{process.output[-4000:]}"
            with suppress(psutil.NoSuchProcess):
                size_mib = psutil.Process(process.pid).memory_info().rss / MEBIBYTE
                self._peaks[name] = max(size_mib, self._peaks.get(name, 0))

    def kill_one(self, draw: random.Random) -> None:
        """Kills one process, as a crash would, and starts it again."""
        name = draw.choice(sorted(self.members))
        self.look()
        self.members[name].kill()
        self.kills[name] += 1
        self._said[name] = len(self.members[name].output)
        self.members[name].start()

    def stop(self) -> None:
        """Stops all in order, once they are ready. Fails where one hangs, or ends otherwise than it should."""
        self.wait_ready()
        for process in self.members.values():
            os.kill(process.pid, signal.SIGTERM)
        codes = {name: process.wait_ended(STOPPED_WITHIN_S) for name, process in self.members.items()}
        assert codes == {name: ENDS_BY_SIGNAL.get(name, 0) for name in self.members}

    def ended(self, graph_ids: Sequence[str]) -> bool:
        """Whether all of these graphs are over; False also while the database is away."""
        over = "state NOT IN ('pending', 'running')"
        return self._read(f"SELECT count(*) FROM graphs_graph WHERE id = ANY(%s) AND {over}", [list(graph_ids)]) == [
            (len(graph_ids),)
        ]

    def states(self, graph_ids: Sequence[str]) -> dict[str, int]:
        """How many changes of these graphs are in each state."""
        changes = "FROM graphs_component WHERE graph_id = ANY(%s) AND part = 'changes'"
        return dict(self._read(f"SELECT state, count(*) {changes} GROUP BY state", [list(graph_ids)]))

    def events(self, graph_id: str) -> list[Event]:
        """The event log of a graph."""
        told = "SELECT name, data FROM scheduler_project_event WHERE subject = %s ORDER BY id"
        return [(name, data) for name, data in self._read(told, [f"graph:{graph_id}"])]

    def memory_peak_mib(self) -> float:
        """The most that any process took."""
        return max(self._peaks.values())

    def memory_told(self) -> str:
        """The most that each took, for people."""
        return ", ".join(f"{name} {size_mib:.0f} MiB" for name, size_mib in sorted(self._peaks.items()))

    def _read(self, sql: str, values: Sequence[Any]) -> list[Any]:
        with suppress(psycopg.OperationalError), psycopg.connect(self._database_url, connect_timeout=2) as connection:
            return connection.execute(sql.encode(), values).fetchall()
        return []


@contextmanager
def graph_fleet(folder: Path, postgres: PostgresServer, nats: NatsServer, broker: ValkeyServer) -> Iterator[GraphFleet]:
    """A fleet that runs, over an empty database and an empty broker."""
    broker.flush()
    processes = Processes(folder)
    fleet = GraphFleet(processes, postgres, nats, broker, postgres.create_database())
    try:
        fleet.start()
        yield fleet
        fleet.stop()
    finally:
        processes.stop_all()
