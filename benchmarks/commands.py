"""Commands through the whole system against the floor of bare `posix_spawn` and wait, in one run on one machine.

Real PostgreSQL with durable commits, real Valkey, one control worker, one host agent. Prints ratios; bare seconds mean
nothing on another machine.

    make bench            or: .venv/bin/python benchmarks/commands.py [COUNT]
"""

import os
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.processes import Processes
from tests.support.servers import PostgresServer, ValkeyServer
from tests.support.wait import wait_until

DEFAULT_COUNT = 2000
HOST = "host-bench"
SLOTS = "1000"
ARGV = ["/bin/true"]
ALL_DONE_WITHIN_S = 600


def floor_per_s(count: int) -> float:
    """Bare starts and waits of the same argv in one loop."""
    began_at = time.perf_counter()
    for _ in range(count):
        os.waitpid(os.posix_spawn(ARGV[0], ARGV, {}), 0)
    return count / (time.perf_counter() - began_at)


def prepare(database_url: str, broker_url: str, data_dir: str) -> None:
    """Sets Django up in this process, which plays the web process's part."""
    os.environ |= {
        "DATABASE_URL": database_url,
        "BROKER_URL": broker_url,
        "SCHEDULER_DATA_DIR": data_dir,
        "SECRET_KEY": "benchmark",
        "DJANGO_SETTINGS_MODULE": "scheduler_project.settings",
        "SCHEDULER_LOG_LEVEL": "WARNING",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def commands_per_s(count: int) -> tuple[float, float]:
    """Commands accepted, and commands done, per second; one agent, all submitted at once."""
    from django.utils import timezone

    from workers.core.commands import NewCommand
    from workers.models import Command, Worker
    from workers.store import submit

    wait_until(Worker.objects.taking_work().filter(name=HOST).exists, 30, what="the agent to join")
    began_at = time.perf_counter()
    ids = [command.id for command in submit([NewCommand(argv=ARGV)] * count, timezone.now())]
    accepted_s = time.perf_counter() - began_at
    wait_until(lambda: not Command.objects.unfinished().exists(), ALL_DONE_WITHIN_S, every_s=0.1)
    done_s = time.perf_counter() - began_at
    wrong = count - Command.objects.filter(id__in=ids, state="done", exit_code=0).count()
    if wrong:
        sys.exit(f"{wrong} of {count} commands did not end as they should")
    return count / accepted_s, count / done_s


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_COUNT
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        postgres = stack.enter_context(closing(PostgresServer()))
        valkey = stack.enter_context(closing(ValkeyServer()))
        database_url = postgres.create_database()
        prepare(database_url, valkey.url, folder)
        processes = Processes(Path(folder))
        for started in (
            processes.worker("control", valkey.url, DATABASE_URL=database_url),
            processes.worker(HOST, valkey.url, SCHEDULER_SLOTS=SLOTS),
            processes.celery("beat", BROKER_URL=valkey.url, DATABASE_URL=database_url, SECRET_KEY="benchmark"),
        ):
            stack.callback(started.stop)
        floor = floor_per_s(count)
        accepted, done = commands_per_s(count)
    print(f"floor (posix_spawn + wait)   {floor:8.0f}/s   1.00")
    print(f"accepted, durably            {accepted:8.0f}/s   {accepted / floor:.2f}")
    print(f"done, with exit code         {done:8.0f}/s   {done / floor:.2f}")


if __name__ == "__main__":
    main()
