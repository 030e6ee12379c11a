"""Many agents that only say that they live: what that costs the control plane, and how soon a silent one is noticed.

Real PostgreSQL with durable commits, real Valkey, one control worker, the clock; the agents are simulated by one
process that sends their heartbeats over the broker. The ratio is to a bare loop that writes as many rows, one commit
each.

    make bench            or: .venv/bin/python benchmarks/agents.py [AGENTS] [SECONDS]
"""

import os
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.commands import set_up_django
from tests.support.processes import Processes
from tests.support.servers import DurablePostgresServer, ValkeyServer
from tests.support.trust import enrolled, sealed
from tests.support.wait import wait_until

AGENTS = 1000
MEASURED_S = 20.0
INTERVAL_S = 5.0
SILENCE_S = 10.0
JOIN_WITHIN_S = 120
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class SimulatedAgents(threading.Thread):
    """Sends each agent's heartbeat once per interval, evenly spread over it; `silence(n)` makes one fall silent."""

    def __init__(self, count: int, broker_url: str, interval_s: float = INTERVAL_S) -> None:
        super().__init__(daemon=True)
        from celery import Celery

        self._app = Celery("agents", broker=broker_url, set_as_current=False)
        self._interval_s = interval_s
        self._began_at = time.time()
        self._agents = set(range(count))
        self._over = threading.Event()
        self.sent = 0

    def run(self) -> None:
        while not self._over.is_set():
            round_at = time.monotonic()
            for position, agent in enumerate(sorted(self._agents)):
                due_at = round_at + self._interval_s * position / len(self._agents)
                if self._over.wait(max(0.0, due_at - time.monotonic())):
                    return
                self._beat(agent)
            self._over.wait(max(0.0, round_at + self._interval_s - time.monotonic()))

    def silence(self, agent: int) -> None:
        self._agents = self._agents - {agent}

    def close(self) -> None:
        self._over.set()
        self.join()
        self._app.close()

    def _beat(self, agent: int) -> None:
        from workers.protocol import HEARTBEAT_QUEUE, HEARTBEAT_TASK, Heartbeat, encode

        if agent not in self._agents:
            return
        heartbeat = Heartbeat(
            host=f"host-{agent}",
            worker_id=f"simulated-{agent}",
            session=f"session-{agent}",
            started_at=self._began_at,
            sent_at=time.time(),
            version="simulated",
            address="127.0.0.1",
            labels={"zone": "a"},
            facts={"cores": 8, "memory_mb": 32768, "disk_mb": 100000 - self.sent % 1000, "executors": ["bash"]},
            slots=64,
        )
        text = sealed(heartbeat.host, HEARTBEAT_TASK, encode(heartbeat))
        self._app.send_task(HEARTBEAT_TASK, args=[text], queue=HEARTBEAT_QUEUE, expires=10 * self._interval_s)
        self.sent += 1


def cpu_s(root: int) -> float:
    """CPU time of a process and of all its descendants, also of those that have ended."""
    parents, used = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = sum(map(int, fields[11:15])) / TICKS_PER_S
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(used.get(pid, 0) for pid in family)


def floor_s(rows: int) -> float:
    """Seconds that bare writes of so many rows take, one commit each."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor (name text PRIMARY KEY, at timestamptz)")
        began_at = time.perf_counter()
        for number in range(rows):
            cursor.execute(
                "INSERT INTO floor VALUES (%s, now()) ON CONFLICT (name) DO UPDATE SET at = now()", [f"h{number}"]
            )
        return time.perf_counter() - began_at


def disconnected_after_s(agents: SimulatedAgents, agent: int) -> float:
    """How long after its last heartbeat one that falls silent is disconnected."""
    from workers.models import Worker

    agents.silence(agent)
    time.sleep(1)  # what it sent last has arrived
    row = Worker.objects.get(name=f"host-{agent}")
    gone = Worker.objects.filter(name=row.name, state="disconnected")
    wait_until(gone.exists, SILENCE_S + 10, every_s=0.05, what="the silent one to be disconnected")
    return (gone.get().changed_at - row.last_seen_at) / timedelta(seconds=1)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else AGENTS
    measured_s = float(sys.argv[2]) if len(sys.argv) > 2 else MEASURED_S
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        postgres = stack.enter_context(closing(DurablePostgresServer()))
        valkey = stack.enter_context(closing(ValkeyServer()))
        database_url = postgres.create_database()
        set_up_django(database_url, valkey.url, Path(folder))
        from workers.models import Worker

        processes = Processes(Path(folder))
        control = processes.worker("control", valkey.url, DATABASE_URL=database_url)
        clock = processes.celery("beat", BROKER_URL=valkey.url, DATABASE_URL=database_url, SECRET_KEY="benchmark")
        for started in (control, clock):
            stack.callback(started.stop)
        for number in range(count):
            enrolled(f"host-{number}", f"simulated-{number}")
        agents = SimulatedAgents(count, valkey.url)
        agents.start()
        stack.callback(agents.close)
        all_here = Worker.objects.connected()
        wait_until(lambda: all_here.count() == count, JOIN_WITHIN_S, every_s=0.5, what=f"{count} agents to join")
        time.sleep(INTERVAL_S)
        parts = {"control": control, "clock": clock, "PostgreSQL": postgres.process, "Valkey": valkey.process}
        before = {name: cpu_s(process.pid) for name, process in parts.items()}
        sent, began_at = agents.sent, time.monotonic()
        time.sleep(measured_s)
        took_s, heartbeats = time.monotonic() - began_at, agents.sent - sent
        used = {name: cpu_s(process.pid) - before[name] for name, process in parts.items()}
        lost = count - all_here.count()
        silent_s = disconnected_after_s(agents, 0)
        floor = floor_s(heartbeats) / took_s
    for name, seconds in used.items():
        print(f"{name:<28} {seconds / took_s:7.1%} of one core")
    plane = (used["control"] + used["clock"]) / took_s
    print(f"{'control plane':<28} {plane:7.1%} of one core, {heartbeats / took_s:.0f} heartbeats/s of {count} agents")
    print(f"{'bare upserts':<28} {floor:7.1%} of the time   ratio {plane / floor:.2f}")
    print(f"{'wrongly disconnected':<28} {lost:7}")
    print(f"{'silent one disconnected':<28} {silent_s:7.1f} s after its last heartbeat (silence {SILENCE_S:g} s)")


if __name__ == "__main__":
    main()
