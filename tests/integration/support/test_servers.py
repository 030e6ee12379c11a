"""The suite's own servers: each does its work, keeps its data over a crash and leaves nothing behind."""

import socket
from pathlib import Path

import kombu
import psycopg
import pytest
import redis
from playwright.sync_api import Browser

from tests.support.processes import Process, ProcessEnded, Processes
from tests.support.servers import (
    LOOPBACK,
    NatsServer,
    PostgresServer,
    RabbitServer,
    Server,
    ValkeyServer,
    accepts,
    free_port,
)


def test_valkey_keeps_its_data_over_a_crash(valkey_server: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.set("kept", "yes")
    valkey_server.kill()
    valkey_server.start()
    with redis.Redis.from_url(valkey_server.url) as client:
        assert client.get("kept") == b"yes"


def test_postgres_gives_empty_databases_and_survives_a_crash(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    postgres_server.kill()
    postgres_server.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


def test_rabbitmq_delivers_what_was_sent_before_a_restart(rabbitmq_server: RabbitServer) -> None:
    with kombu.Connection(rabbitmq_server.url) as connection:
        connection.SimpleQueue("kept").put("message")
    rabbitmq_server.restart()
    with kombu.Connection(rabbitmq_server.url) as connection:
        message = connection.SimpleQueue("kept").get(timeout=5)
        assert message.payload == "message"
        message.ack()


def test_nats_answers_again_after_a_restart(nats_server: NatsServer) -> None:
    nats_server.restart()
    assert nats_server.answers()


def test_chromium_draws_a_page(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<h1>drawn</h1>")
    assert page.inner_text("h1") == "drawn"


@pytest.fixture
def closed_server() -> Server:
    server = NatsServer()
    server.close()
    return server


def test_a_closed_server_leaves_no_process_port_or_file(closed_server: Server) -> None:
    assert not closed_server.process.alive
    assert not accepts(closed_server.port)
    assert not closed_server.folder.exists()


def test_a_server_whose_port_was_taken_starts_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr("tests.support.servers.base.free_port", lambda: next(ports))
        server = ValkeyServer()
        server.close()
        assert server.port != taken.getsockname()[1]


def test_a_process_that_ends_early_is_told_with_its_output(processes: Processes) -> None:
    process = processes.python("-c", "print('why it ended')")
    with pytest.raises(ProcessEnded, match="why it ended"):
        process.wait_for_line("never said")


def test_a_process_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"], tmp_path / "log").start()
    process.wait_for_line("up")
    process.stop(timeout_s=0.1)
    assert not process.alive
