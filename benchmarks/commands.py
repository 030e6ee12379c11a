"""Commands through the whole system against the floor of bare `posix_spawn` and wait, in one run on one machine.

Real PostgreSQL with durable commits, real Valkey, one control worker, one host agent and then four, all with their
default settings. Prints ratios to the floor and to what Celery carries of tasks that do nothing, and the CPU time that
each process spends on a command; bare figures mean nothing on another machine. At the end a backlog is made, and its
first commands are done, to tell what it costs.

    make bench            or: .venv/bin/python benchmarks/commands.py [--count 2000] [--backlog 200000]
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.noop import QUEUE, TASK
from benchmarks.usage import children_cpu_s, cpu_s, own_cpu_s
from tests.support.processes import Process, Processes
from tests.support.servers import DurablePostgresServer, ValkeyServer
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from workers.models import Command

HOSTS = ("host-bench-1", "host-bench-2", "host-bench-3", "host-bench-4")
ARGV = ["/bin/true"]
BATCH = 500
IDLE_STARTS = 200
FLOORS = 3
SECRET_KEY = "tests-only"
ALL_DONE_WITHIN_S = 600


@dataclass(frozen=True)
class System:
    """What is measured: a broker, a database and the processes between them."""

    processes: Processes
    valkey: ValkeyServer
    database_url: str
    parts: dict[str, list[int]] = field(default_factory=dict)

    def worker(self, queue: str, **variables: str) -> Process:
        return self.processes.worker(queue, self.valkey.url, DATABASE_URL=self.database_url, **variables)

    def join(self, host: str) -> None:
        """Starts a host's agent, and returns once control gives it work."""
        from workers.models import Worker

        agent = self.worker(host)
        wait_until(Worker.objects.taking_work().filter(name=host).exists, 30, what=f"{host} to join")
        (state,) = (self.processes.folder / host).rglob("supervisor.pid")
        self.parts["agents"].append(agent.pid)
        self.parts["supervisors"].append(int(state.read_text()))

    def cpu_s(self) -> dict[str, float]:
        """CPU time of each part so far; `commands` are the processes that were run."""
        used = {name: sum(map(own_cpu_s, pids)) for name, pids in self.parts.items()}
        used["PostgreSQL"] = sum(map(cpu_s, self.parts["PostgreSQL"]))
        return used | {"commands": sum(map(children_cpu_s, self.parts["supervisors"]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="commands of each measurement")
    parser.add_argument("--backlog", type=int, default=200_000, help="commands that are to wait, 0 for none")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(closing(DurablePostgresServer()))
        valkey = stack.enter_context(closing(ValkeyServer()))
        system = System(Processes(folder), valkey, postgres.create_database())
        stack.callback(system.processes.end_all)
        prepare(system, folder)
        system.parts["PostgreSQL"] = [postgres.process.pid]
        measure(system, options.count, options.backlog)


def prepare(system: System, folder: Path) -> None:
    """Sets Django up in this process, which plays the web process's part, and starts control and clock."""
    environment = set_up_django(system.database_url, system.valkey.url, folder)
    control, clock = system.worker("control"), system.processes.celery("beat", **environment)
    pids = {"submitter": os.getpid(), "control": control.pid, "clock": clock.pid, "Valkey": system.valkey.process.pid}
    system.parts.update({name: [pid] for name, pid in pids.items()} | {"agents": [], "supervisors": []})


def set_up_django(database_url: str, broker_url: str, folder: Path) -> dict[str, str]:
    """Makes this process one of the control side's, with all tables. Returns the environment of the others."""
    environment = {
        "DATABASE_URL": database_url,
        "BROKER_URL": broker_url,
        "SCHEDULER_DATA_DIR": str(folder),
        "SECRET_KEY": SECRET_KEY,
        "SCHEDULER_LOG_LEVEL": "WARNING",
    }
    os.environ |= environment | {"DJANGO_SETTINGS_MODULE": "scheduler_project.settings"}
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    return environment


def measure(system: System, count: int, backlog: int) -> None:
    """Prints one line for each figure."""
    floor = max(floor_per_s(count) for _ in range(FLOORS))
    show(f"floor: posix_spawn and wait in a loop, best of {FLOORS}", floor, "/s")
    engine = noops_per_s(system, count)
    show("Celery alone: tasks that do nothing, Valkey, -c 1", engine, "/s")
    system.join(HOSTS[0])
    show_starts(idle_starts_ms())
    one = show_commands(system, 1, count, floor, engine)
    for host in HOSTS[1:]:
        system.join(host)
    show_commands(system, len(HOSTS), count, floor, engine)
    if backlog:
        show_backlog(system, backlog, count, one)


def show_commands(system: System, hosts: int, count: int, floor: float, engine: float) -> float:
    """Returns the commands done per second."""
    before = system.cpu_s()
    accepted, done = commands_per_s(count)
    used = system.cpu_s()
    show(f"accepted durably, hosts: {hosts}", accepted, "/s", floor, engine)
    show(f"done with exit code, hosts: {hosts}", done, "/s", floor, engine)
    costs = {name: 1000 * (used[name] - before[name]) / count for name in used}
    told = ", ".join(f"{name} {ms:.2f}" for name, ms in sorted(costs.items(), key=lambda cost: -cost[1]))
    print(f"  CPU ms each: {told}; all {sum(costs.values()):.2f}", flush=True)
    return done


def show(what: str, figure: float, unit: str, floor: float = 0, engine: float = 0) -> None:
    ratios = f"  {figure / floor:5.2f} of the floor  {figure / engine:5.2f} of Celery" if floor and engine else ""
    print(f"{what:<50} {figure:8.0f}{unit}{ratios}", flush=True)


def show_starts(milliseconds: Sequence[float]) -> None:
    percentiles = quantiles(milliseconds, n=100)
    show("accepted to started when idle, p50", percentiles[49], " ms")
    show("accepted to started when idle, p99", percentiles[98], " ms")


def floor_per_s(count: int) -> float:
    """Bare starts and waits of the same argv in one loop."""
    began_at = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn(ARGV[0], ARGV, {}), 0)
    return count / (time.perf_counter() - began_at)


def noops_per_s(system: System, count: int) -> float:
    """Tasks that do nothing, sent one by one and carried out by a worker with our settings and one thread."""
    from scheduler_project.celery import app

    worker = system.processes.python(
        "-m", "celery", "-A", "benchmarks.noop", "worker", "-Q", QUEUE, "-c", "1", "-l", "INFO",
        "--without-gossip", "--without-mingle", BROKER_URL=system.valkey.url,
    )  # fmt: skip
    worker.wait_for_line(" ready.", timeout_s=60)
    with app.connection_for_read() as connection:
        client = connection.channel().client
        began_at = time.perf_counter()
        for _ in range(count):
            app.send_task(TASK, queue=QUEUE)
        wait_until(lambda: not client.llen(QUEUE) and not client.hlen("unacked"), ALL_DONE_WITHIN_S, every_s=0.01)
        elapsed_s = time.perf_counter() - began_at
    worker.stop()
    return count / elapsed_s


def submit_some(count: int) -> "list[Command]":
    """What the web process does with a request for so many."""
    from django.utils import timezone

    from workers.core.commands import NewCommand
    from workers.store import submit

    return submit([NewCommand(argv=ARGV)] * count, timezone.now())


def idle_starts_ms() -> list[float]:
    """From submit to the start that the host's own clock tells, one command after the other."""
    from workers.models import Command

    ids = []
    for _ in range(IDLE_STARTS):
        (command,) = submit_some(1)
        wait_until(Command.objects.filter(id=command.id, state="done").exists, 30, every_s=0.01)
        ids.append(command.id)
    times = Command.objects.filter(id__in=ids).values_list("created_at", "started_at")
    return [(started_at - created_at).total_seconds() * 1000 for created_at, started_at in times if started_at]


def commands_per_s(count: int) -> tuple[float, float]:
    """Commands accepted, and commands done, per second; submitted in batches as quickly as they are taken."""
    from workers.models import Command

    began_at = time.perf_counter()
    ids = []
    for start in range(0, count, BATCH):
        ids += [command.id for command in submit_some(min(BATCH, count - start))]
    accepted_s = time.perf_counter() - began_at
    wait_until(lambda: not Command.objects.unfinished().exists(), ALL_DONE_WITHIN_S, every_s=0.1)
    done_s = time.perf_counter() - began_at
    wrong = count - Command.objects.filter(id__in=ids, state="done", exit_code=0).count()
    if wrong:
        sys.exit(f"{wrong} of {count} commands did not end as they should")
    return count / accepted_s, count / done_s


def show_backlog(system: System, count: int, done_count: int, rate_without: float) -> None:
    """Accepts so many commands while one host drains, and then has that host do some of them."""
    from django.utils import timezone

    from workers.store import set_draining

    def drain(hosts: Sequence[str], draining: bool) -> None:
        for host in hosts:
            set_draining(host, draining, timezone.now(), "benchmark")

    drain(HOSTS, True)
    before, began_at = memory_bytes(system), time.perf_counter()
    for start in range(0, count, BATCH):
        submit_some(min(BATCH, count - start))
    show(f"accepted durably, a backlog of {count}", count / (time.perf_counter() - began_at), "/s")
    show("its memory outside the database, each", max(memory_bytes(system) - before, 0) / count, " bytes")
    drain(HOSTS[:1], False)
    rate = done_of_backlog_per_s(done_count)
    print(f"{'done, hosts: 1, with the backlog':<50} {rate:8.0f}/s  {rate / rate_without:5.2f} of without", flush=True)


def done_of_backlog_per_s(count: int) -> float:
    """The rate once a first tenth is done."""
    from workers.models import Command

    done = Command.objects.filter(state="done")
    began_with = done.count()

    def wait_done(number: int) -> float:
        wait_until(lambda: done.count() >= began_with + number, ALL_DONE_WITHIN_S, every_s=0.1)
        return time.perf_counter()

    began_at = wait_done(count // 10)
    started_with = done.count()
    ended_at = wait_done(count)
    return (done.count() - started_with) / (ended_at - began_at)


def memory_bytes(system: System) -> int:
    """Resident memory of this process, of all that it started and of the broker."""
    pids = [os.getpid(), system.valkey.process.pid, *(process.pid for process in system.processes.running)]
    return sum(psutil.Process(pid).memory_info().rss for pid in {*pids, *system.parts["supervisors"]})


if __name__ == "__main__":
    main()
