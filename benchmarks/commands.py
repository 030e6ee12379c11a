"""Commands through the whole system against the floor of bare `posix_spawn` and wait, in one run on one machine.

Real PostgreSQL with durable commits, real Valkey, one control worker, one host agent and then four. Prints ratios to
the floor and to what Celery carries of tasks that do nothing; bare figures mean nothing on another machine.

    make bench            or: .venv/bin/python benchmarks/commands.py [--count 2000] [--backlog 200000]
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.noop import QUEUE, TASK
from tests.support.processes import Process, Processes
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.wait import wait_until

HOSTS = ("host-bench-1", "host-bench-2", "host-bench-3", "host-bench-4")
SLOTS = "1000"
ARGV = ["/bin/true"]
BATCH = 500
IDLE_STARTS = 200
SECRET_KEY = "tests-only"
ALL_DONE_WITHIN_S = 600


@dataclass(frozen=True)
class System:
    """What is measured: a broker, a database and the processes between them."""

    processes: Processes
    valkey: ValkeyServer
    database_url: str

    def worker(self, queue: str, **variables: str) -> Process:
        return self.processes.worker(queue, self.valkey.url, DATABASE_URL=self.database_url, **variables)

    def join(self, host: str) -> None:
        """Starts a host's agent, and returns once control gives it work."""
        from workers.models import Worker

        self.worker(host, SCHEDULER_SLOTS=SLOTS)
        wait_until(Worker.objects.taking_work().filter(name=host).exists, 30, what=f"{host} to join")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="commands of each measurement")
    parser.add_argument("--backlog", type=int, default=200_000, help="commands accepted while no host is there")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(closing(PostgresServer()))
        valkey = stack.enter_context(closing(ValkeyServer()))
        system = System(Processes(folder), valkey, postgres.create_database())
        stack.callback(system.processes.end_all)
        prepare(system, folder)
        measure(system, options.count, options.backlog)


def prepare(system: System, folder: Path) -> None:
    """Sets Django up in this process, which plays the web process's part, and starts control and clock."""
    environment = set_up_django(system.database_url, system.valkey.url, folder)
    system.worker("control")
    system.processes.celery("beat", **environment)


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
    floor = floor_per_s(count)
    show("floor: posix_spawn and wait in a loop", floor, "/s")
    engine = noops_per_s(system, count)
    show("Celery alone: tasks that do nothing", engine, "/s")
    if backlog:
        show(f"memory of each of {backlog} commands that wait", backlog_bytes_each(system, backlog), " bytes")
    for host in HOSTS[:1]:
        system.join(host)
    show_starts(idle_starts_ms())
    for hosts in (HOSTS[:1], HOSTS):
        for host in hosts[1:]:
            system.join(host)
        accepted, done = commands_per_s(count)
        show(f"accepted durably, hosts: {len(hosts)}", accepted, "/s", floor, engine)
        show(f"done with exit code, hosts: {len(hosts)}", done, "/s", floor, engine)


def show(what: str, figure: float, unit: str, floor: float = 0, engine: float = 0) -> None:
    ratios = f"  {figure / floor:5.2f} of the floor  {figure / engine:5.2f} of Celery" if floor and engine else ""
    print(f"{what:<48} {figure:8.0f}{unit}{ratios}", flush=True)


def show_starts(milliseconds: Sequence[float]) -> None:
    percentiles = quantiles(milliseconds, n=100)
    show("submitted to started when idle, p50", percentiles[49], " ms")
    show("submitted to started when idle, p99", percentiles[98], " ms")


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


def idle_starts_ms() -> list[float]:
    """From submit to the start that the host's own clock tells, one command after the other."""
    from django.utils import timezone

    from workers.core.commands import NewCommand
    from workers.models import Command
    from workers.store import submit

    ids = []
    for _ in range(IDLE_STARTS):
        (command,) = submit([NewCommand(argv=ARGV)], timezone.now())
        wait_until(Command.objects.filter(id=command.id, state="done").exists, 30, every_s=0.01)
        ids.append(command.id)
    times = Command.objects.filter(id__in=ids).values_list("created_at", "started_at")
    return [(started_at - created_at).total_seconds() * 1000 for created_at, started_at in times if started_at]


def commands_per_s(count: int) -> tuple[float, float]:
    """Commands accepted, and commands done, per second; submitted in batches as quickly as they are taken."""
    from django.utils import timezone

    from workers.core.commands import NewCommand
    from workers.models import Command
    from workers.store import submit

    began_at = time.perf_counter()
    ids = []
    for start in range(0, count, BATCH):
        wanted = [NewCommand(argv=ARGV)] * min(BATCH, count - start)
        ids += [command.id for command in submit(wanted, timezone.now())]
    accepted_s = time.perf_counter() - began_at
    wait_until(lambda: not Command.objects.unfinished().exists(), ALL_DONE_WITHIN_S, every_s=0.1)
    done_s = time.perf_counter() - began_at
    wrong = count - Command.objects.filter(id__in=ids, state="done", exit_code=0).count()
    if wrong:
        sys.exit(f"{wrong} of {count} commands did not end as they should")
    return count / accepted_s, count / done_s


def backlog_bytes_each(system: System, count: int) -> float:
    """What all processes outside the database grow by for each command that waits for a host."""
    from django.utils import timezone

    from workers.core.commands import NewCommand
    from workers.models import Command
    from workers.store import submit

    submit([NewCommand(argv=ARGV)] * BATCH, timezone.now())
    before = memory_bytes(system)
    for _ in range(0, count, BATCH):
        submit([NewCommand(argv=ARGV)] * BATCH, timezone.now())
    wait_until(lambda: not Command.objects.filter(reason="").exists(), ALL_DONE_WITHIN_S, every_s=0.5)
    grown = memory_bytes(system) - before
    Command.objects.all().delete()
    return max(grown, 0) / count


def memory_bytes(system: System) -> int:
    """Resident memory of this process, of all that it started and of the broker."""
    pids = [os.getpid(), system.valkey.process.pid, *(process.pid for process in system.processes.running)]
    return sum(psutil.Process(pid).memory_info().rss for pid in pids)


if __name__ == "__main__":
    main()
