"""Fixtures shared by all rings; tests/README.md explains how to use them.

A server that cannot be started for want of its program fails in CI and skips elsewhere, with what to install.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from django.conf import settings
from django.db import connection
from kombu.transport.memory import Channel as MemoryChannel
from playwright.sync_api import Browser, sync_playwright

from tests.support.certificates import Authority
from tests.support.database import database_address
from tests.support.nats import remove_streams
from tests.support.processes import Processes
from tests.support.servers import (
    DockerEngine,
    EtcdServer,
    MissingServer,
    NatsServer,
    PlainNatsServer,
    PostgresServer,
    RabbitServer,
    Server,
    TlsRabbitServer,
    TlsRedisServer,
    ValkeyServer,
    chromium_path,
)

Kind = TypeVar("Kind", bound=Server)
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "database_url"}
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make prove` asks for the sizes that are promised, which take minutes."""
    parser.addoption("--full-size", action="store_true", help="the acceptance tests at the sizes that are promised")


def pytest_configure() -> None:
    """Lets programs under test hear Ctrl-C also where the run itself was started in the background, deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that uses the database, so that the same tests can be run on PostgreSQL too."""
    for item in items:
        if item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("database")


def pytest_unconfigure() -> None:
    """Removes the data folder of this run, or of this one of its processes."""
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)


def missing(error: MissingServer) -> NoReturn:
    """Fails in CI, skips elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


def running(kind: Callable[[], Kind]) -> Iterator[Kind]:
    """A server for the length of a fixture."""
    try:
        server = kind()
    except MissingServer as error:
        missing(error)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """An authority whose files everybody may read, as servers do that run as another user."""
    folder = Path(tempfile.mkdtemp(prefix="scheduler-test-certificates-"))
    folder.chmod(0o755)
    yield Authority(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A Valkey server; `url` is a BROKER_URL."""
    yield from running(ValkeyServer)


@pytest.fixture(scope="session")
def lasting_nats_server() -> Iterator[NatsServer]:
    """A NATS server with JetStream for the whole run; its streams are too."""
    yield from running(NatsServer)


@pytest.fixture
def nats_server(lasting_nats_server: NatsServer) -> Iterator[NatsServer]:
    """A NATS server with JetStream; `url` is a NATS_URI. No test finds the messages that another one left in it."""
    yield lasting_nats_server
    remove_streams(lasting_nats_server.url)


@pytest.fixture(scope="session")
def plain_nats_server() -> Iterator[PlainNatsServer]:
    """A NATS server without JetStream."""
    yield from running(PlainNatsServer)


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[EtcdServer]:
    """An etcd of one member; `url` is one of ETCD_ENDPOINTS."""
    yield from running(EtcdServer)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; `url` is a DATABASE_URL, `create_database()` gives one of an empty database."""
    yield from running(PostgresServer)


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitServer]:
    """A RabbitMQ node; `url` is a BROKER_URL."""
    yield from running(RabbitServer)


@pytest.fixture(scope="session")
def tls_redis_server(authority: Authority) -> Iterator[TlsRedisServer]:
    """A Redis that asks clients for certificates."""
    yield from running(lambda: TlsRedisServer(authority))


@pytest.fixture(scope="session")
def tls_rabbitmq_server(authority: Authority) -> Iterator[TlsRabbitServer]:
    """A RabbitMQ node that asks clients for certificates."""
    yield from running(lambda: TlsRabbitServer(authority))


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """A Docker Engine; `url` is a DOCKER_HOST."""
    yield from running(DockerEngine)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    try:
        return chromium_path()
    except MissingServer as error:
        missing(error)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Headless Chromium. Playwright runs an event loop in the test's thread, so the ORM's guard is off meanwhile."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        opened = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def broker_in_memory() -> Iterator[None]:
    """No test finds the messages that another one sent to the broker in memory, which all of a process share."""
    yield
    MemoryChannel.queues.clear()


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """PostgreSQL's test database goes with its server, so sessions that still hold it do no harm."""
    return bool(connection.vendor == "postgresql")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts programs and stops them after the test, even where it fails."""
    started = Processes(tmp_path)
    try:
        yield started
    finally:
        started.stop_all()


@pytest.fixture
def database_url(transactional_db: Any) -> str:
    """The address of the database of this test, for a process that must see the same rows."""
    return database_address()
