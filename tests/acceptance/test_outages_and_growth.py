"""What makes this a better go-schedule, continued: outages, long histories, endless reconnects (checks 10, 12 and 13).

The original hung on etcd; here nothing but records for
outsiders depends on it, so what is asked of etcd there is asked of our database and our broker too.
"""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psutil
import pytest
import redis
from celery import Celery
from django.contrib.auth.models import Group, User
from django.db import connection
from django.utils import timezone

from scheduler_project.models import ApiToken, Lease
from scheduler_project.toolkit import access
from scheduler_project.toolkit.http import encode_cursor
from tests.conftest import running
from tests.support.fleet import Fleet, fleet
from tests.support.processes import Process, Processes
from tests.support.servers import EtcdServer, PostgresServer, ValkeyServer, free_port
from tests.support.trust import enrolled, sealed
from tests.support.wait import wait_until
from workers import store
from workers.core.commands import NewCommand
from workers.links.etcd import EtcdAddress, EtcdLink
from workers.models import Command, Worker
from workers.protocol import HEARTBEAT_QUEUE, HEARTBEAT_TASK, Heartbeat, encode

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
QUICK_S = 3.0
LISTED = 100_000
RECONNECTS = 2_000
LONG_AGO = "01700000-0000-7000-8000-000000000000"
COPIES = """
    INSERT INTO workers_command (id, {others})
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)
    SELECT '01700000-0000-7000-8000-' || substr(cast(1000000000000 + n AS text), 2), {others}
    FROM workers_command, numbers WHERE id = %s
"""
MEGABYTE = 1 << 20
KEYS_MAX_PER_HOST = 4  # its queue, and how that is found
GROWTH_MAX_HELD = 5  # connections are pooled; a leak would be of hundreds
PREPARE = """
import os, django
django.setup()
from django.core.management import call_command
from django.contrib.auth.models import User
from django.utils import timezone
from scheduler_project.models import ApiToken
from scheduler_project.toolkit import access
call_command("migrate", verbosity=0)
user = User.objects.create_superuser("tests")
digest = access.digest(os.environ["TOKEN"])
ApiToken.objects.create(name="tests", user=user, digest=digest, created_at=timezone.now())
"""


@dataclass
class Answer:
    """What the API answered, and how long that took."""

    status: int
    kind: str
    body: Any
    took_s: float


@dataclass
class Web:
    """A web process, asked as a program asks it."""

    process: Process
    port: int
    token: str

    def ask(self, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        began_s = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return self._read(answer, began_s)
        except urllib.error.HTTPError as error:
            with error:
                return self._read(error, began_s)

    @staticmethod
    def _read(answer: Any, began_s: float) -> Answer:
        body = json.loads(answer.read())
        return Answer(answer.status, answer.headers.get_content_type(), body, time.monotonic() - began_s)

    def part(self, name: str) -> dict[str, Any]:
        """What `/readyz` says of one part."""
        return next(one for one in self.ask("/readyz").body["checks"] if one["name"] == name)


def start_web(processes: Processes, token: str, **variables: str) -> Web:
    port = free_port()
    argv = ("-m", "uvicorn", "scheduler_project.asgi:application", "--port", str(port))
    process = processes.python(*argv, SECRET_KEY="tests-only", SCHEDULER_DATA_DIR=str(processes.folder), **variables)
    process.wait_for_line("Uvicorn running")
    return Web(process, port, token)


@pytest.fixture
def token(transactional_db: Any) -> str:
    """An operator's."""
    user = User.objects.create_user("operator")
    user.groups.add(Group.objects.get_or_create(name="operator")[0])
    token = access.new_token()
    ApiToken.objects.create(name="tests", user=user, digest=access.digest(token), created_at=timezone.now())
    return token


@pytest.fixture
def etcd() -> Iterator[EtcdServer]:
    """One that may be killed."""
    yield from running(EtcdServer)


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """One that may be killed."""
    yield from running(PostgresServer)


@pytest.fixture
def broker() -> Iterator[ValkeyServer]:
    """One that may be killed."""
    yield from running(ValkeyServer)


@pytest.fixture
def system(processes: Processes, valkey_server: ValkeyServer, database_url: str) -> Iterator[Fleet]:
    """Control, clock and one host."""
    with fleet(processes, valkey_server, database_url) as started:
        started.start_control()
        started.start_clock()
        yield started


@pytest.mark.once
def test_10_etcd_goes_away_and_nothing_stops_the_probe_says_so_and_all_is_caught_up(
    system: Fleet, token: str, processes: Processes, etcd: EtcdServer, database_url: str
) -> None:
    system.join("host-a")
    shared = {"DATABASE_URL": database_url, "ETCD_ENDPOINTS": etcd.url, "ETCD_PREFIX": f"{uuid.uuid4().hex}/"}
    processes.worker("etcd", system.broker.url, **shared)
    web = start_web(processes, token, BROKER_URL=system.broker.url, **shared)
    wait_until(lambda: web.part("etcd")["ok"], 20, what="etcd to be reached")

    etcd.kill()
    answer = web.ask("/api/v1/commands", {"commands": [{"argv": ["echo", "on"]}]})
    assert (answer.status, answer.took_s < QUICK_S) == (201, True)
    command_id = answer.body["items"][0]["id"]
    (command,) = system.wait_settled([command_id], timeout_s=20)
    assert (command.state, command.exit_code) == ("done", 0)
    wait_until(lambda: not web.part("etcd")["ok"], 30, what="the probe to say that etcd is away")
    assert web.part("etcd")["needed"] is False
    assert Worker.objects.connected().exists()

    etcd.start()
    link = EtcdLink(EtcdAddress((etcd.url,)))
    wait_until(lambda: b'"state":"done"' in told(link, shared["ETCD_PREFIX"], command_id), 30, what="its record")
    wait_until(lambda: web.part("etcd")["ok"], 20, what="the probe to say that etcd is back")
    link.close()


def told(link: EtcdLink, prefix: str, command_id: str) -> bytes:
    """The record of a command in etcd; empty for none."""
    found = link.read(f"{prefix}task_{command_id}", limit=1)
    return found[0].value if found else b""


def test_10_without_its_database_the_api_says_503_at_once_and_recovers_without_a_restart(
    processes: Processes, valkey_server: ValkeyServer, database: PostgresServer
) -> None:
    variables = {"DATABASE_URL": database.url, "BROKER_URL": valkey_server.url}
    token = access.new_token()
    prepared = processes.python(
        "-c", PREPARE, DJANGO_SETTINGS_MODULE="scheduler_project.settings", TOKEN=token, **variables
    )
    assert prepared.wait_ended(90) == 0, prepared.output
    web = start_web(processes, token, **variables)
    assert web.ask("/api/v1/commands").status == 200

    database.kill()
    for path, body in (("/api/v1/commands", None), ("/api/v1/commands", {"commands": [{"argv": ["true"]}]})):
        answer = web.ask(path, body)
        assert (answer.status, answer.kind) == (503, "application/problem+json")
        assert "database" in answer.body["detail"]
        assert answer.took_s < QUICK_S
    ready = web.ask("/readyz")
    assert (ready.status, ready.took_s < QUICK_S) == (503, True)

    database.start()
    wait_until(lambda: web.ask("/api/v1/commands").status == 200, 20, what="the API to be back")
    assert web.process.alive


@pytest.mark.once
def test_10_without_its_broker_work_is_accepted_at_once_and_carried_out_when_it_is_back(
    processes: Processes, token: str, broker: ValkeyServer, database_url: str
) -> None:
    with fleet(processes, broker, database_url) as system:
        system.start_control()
        system.start_clock()
        system.join("host-a")
        web = start_web(processes, token, BROKER_URL=broker.url, DATABASE_URL=database_url)
        wait_until(lambda: web.part("control")["ok"], 20, what="the system to be ready")

        broker.kill()
        answer = web.ask("/api/v1/commands", {"commands": [{"argv": ["echo", "on"]}]})
        assert (answer.status, answer.took_s < QUICK_S) == (201, True)
        assert web.ask("/readyz").status == 503
        assert not web.part("broker")["ok"]

        broker.start()
        (command,) = system.wait_settled([answer.body["items"][0]["id"]], timeout_s=60)
        assert (command.state, command.exit_code) == ("done", 0)
        wait_until(lambda: web.ask("/readyz").status == 200, 30, what="the system to be ready again")


def test_12_a_list_of_a_hundred_thousand_is_paged_quickly_in_bounded_memory_and_forgotten_in_parts(
    processes: Processes, valkey_server: ValkeyServer, database_url: str, token: str
) -> None:
    fresh = many_ended(LISTED)
    web = start_web(processes, token, BROKER_URL=valkey_server.url, DATABASE_URL=database_url)
    newest = walk(web, "", pages=1)
    before_bytes = memory_of(web.process)

    newest += walk(web, newest[-1].body["next"], pages=10)
    oldest = walk(web, encode_cursor(Command.objects.order_by("id")[3000].id), pages=20)

    assert oldest[-1].body["next"] == ""
    assert len({item["id"] for page in (*newest, *oldest) for item in page.body["items"]}) == 14_000
    assert max(page.took_s for page in (*newest, *oldest)) < QUICK_S
    assert memory_of(web.process) - before_bytes < 50 * MEGABYTE

    with fleet(processes, valkey_server, database_url) as system:
        system.start_control(SCHEDULER_KEEP_COMMANDS_DAYS="30")
        system.start_clock()
        wait_until(lambda: Command.objects.count() < LISTED - 2000, 30, what="the first parts to be forgotten")
        assert web.ask("/api/v1/commands").took_s < QUICK_S
    assert Command.objects.filter(id=fresh).exists()


def walk(web: Web, cursor: str, pages: int) -> list[Answer]:
    """So many pages of the list of commands, from the cursor on; fewer where it ends."""
    found: list[Answer] = []
    while len(found) < pages and (cursor or not found):
        found.append(web.ask(f"/api/v1/commands?limit=1000&cursor={cursor}"))
        cursor = found[-1].body["next"]
    return found


def many_ended(count: int) -> str:
    """So many commands that ended years ago, and one that has just been submitted, whose id is returned."""
    ended, fresh = store.submit([NewCommand(argv=["echo", "hello"])] * 2, timezone.now())
    then = timezone.now() - timedelta(days=400)
    Command.objects.filter(id=ended.id).update(
        id=LONG_AGO, state="done", exit_code=0, ended_at=then, remind_at=None, start_by=None
    )
    columns = [connection.ops.quote_name(str(field.column)) for field in Command._meta.concrete_fields]
    with connection.cursor() as cursor:
        others = ", ".join(name for name in columns if name != '"id"')
        cursor.execute(COPIES.format(others=others), [count - 1, LONG_AGO])
    return fresh.id


def memory_of(process: Process) -> int:
    return psutil.Process(process.pid).memory_info().rss


@pytest.mark.once
def test_13_two_thousand_reconnects_leave_nothing_behind_in_control_or_broker(
    processes: Processes, valkey_server: ValkeyServer, database_url: str
) -> None:
    hosts = [f"host-{number}" for number in range(100)]
    for host in hosts:
        enrolled(host, f"id-of-{host}")
    app = Celery("agents", broker=valkey_server.url, set_as_current=False)
    with fleet(processes, valkey_server, database_url) as system, redis.Redis.from_url(valkey_server.url) as broker:
        control = system.start_control()
        connect_all(app, hosts, 0)
        held_before, bytes_before, clients_before = held(control), memory_of(control), len(broker.client_list())

        for number in range(1, RECONNECTS // len(hosts) + 1):
            connect_all(app, hosts, number)
        assert set(Worker.objects.values_list("name", flat=True)) == set(hosts)
        grown = [after - before for after, before in zip(held(control), held_before, strict=True)]
        assert max(grown) <= GROWTH_MAX_HELD, f"threads and files grew by {grown}"
        assert memory_of(control) - bytes_before < 30 * MEGABYTE
        assert len(broker.client_list()) - clients_before <= GROWTH_MAX_HELD
        assert broker.dbsize() < KEYS_MAX_PER_HOST * len(hosts)
        assert Lease.objects.count() <= GROWTH_MAX_HELD
    app.close()


def connect_all(app: Celery, hosts: Sequence[str], number: int) -> None:
    """An agent of each host starts anew; returns when control knows all of them."""
    for host in hosts:
        beat = Heartbeat(
            host=host,
            worker_id=f"id-of-{host}",
            session=f"session-{number}",
            started_at=time.time(),
            sent_at=time.time(),
            version="1",
            address="here",
            slots=1,
        )
        app.send_task(HEARTBEAT_TASK, args=[sealed(host, HEARTBEAT_TASK, encode(beat))], queue=HEARTBEAT_QUEUE)
    known = Worker.objects.filter(session=f"session-{number}")
    wait_until(lambda: known.count() == len(hosts), 30, every_s=0.02, what=f"start {number} of every agent")


def held(process: Process) -> tuple[int, int]:
    """Threads and open files of a process."""
    seen = psutil.Process(process.pid)
    return seen.num_threads(), seen.num_fds()
