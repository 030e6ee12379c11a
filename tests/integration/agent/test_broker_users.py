"""A broker's user for each host: an agent works with its own, and cannot read or write what is another host's."""

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
import redis
from amqp.exceptions import AccessRefused  # type: ignore[import-untyped]
from kombu import Connection, Exchange, Queue

from tests.support.processes import Processes
from tests.support.servers import RabbitServer, ValkeyServer
from tests.support.wire import HOST, Wire, start_agent
from workers.protocol import RunCommand

OTHER = "host-other"
CONFIRMED = {"confirm_publish": True}  # so that a refusal is heard
PASSWORD = "of-this-host"
GUIDE = Path(__file__).resolve().parents[3] / "docs/how-to/secure.md"


def permissions(host: str) -> list[str]:
    """The three expressions that the how-to gives for `host-a`, made for another host."""
    (line,) = (
        line for line in GUIDE.read_text().splitlines() if line.startswith("rabbitmqctl set_permissions host-a ")
    )
    return [part.replace("host-a", host) for part in line.split("'")[1::2]]


@pytest.fixture
def users(rabbitmq_server: RabbitServer) -> RabbitServer:
    """A broker with a user for this host alone."""
    with suppress(AssertionError):
        rabbitmq_server.control("delete_user", HOST)
    rabbitmq_server.control("add_user", HOST, PASSWORD)
    rabbitmq_server.control("set_permissions", HOST, *permissions(HOST))
    return rabbitmq_server


def read(queue: str) -> Callable[[Connection], object]:
    return lambda connection: connection.default_channel.basic_get(queue)


def send(exchange: str, key: str) -> Callable[[Connection], object]:
    return lambda connection: connection.Producer().publish("x", exchange=exchange, routing_key=key)


def test_an_agent_works_with_a_user_of_its_own_that_can_reach_no_other_host(
    users: RabbitServer, processes: Processes, tmp_path: Path
) -> None:
    own_url = users.url_of(HOST, PASSWORD)
    with closing(Wire(users.url)) as wire:
        agent = start_agent(processes, own_url, tmp_path)
        wire.order(RunCommand(unit="command/1", attempt=1, argv=["sh", "-c", "exit 7"]))
        assert wire.ended("command/1").exit_code == 7
        with Connection(users.url) as connection:
            Queue(OTHER, Exchange(OTHER), OTHER, channel=connection.default_channel).declare()
        assert "Traceback" not in agent.output
        assert "ACCESS_REFUSED" not in agent.output

        for forbidden in (read(OTHER), read("control"), read("heartbeats"), send(OTHER, OTHER), send("", OTHER)):
            with Connection(own_url, transport_options=CONFIRMED) as connection, pytest.raises(AccessRefused):
                forbidden(connection)


def test_on_valkey_agents_work_with_a_user_that_has_no_power_over_the_server(
    valkey_server: ValkeyServer, processes: Processes, tmp_path: Path
) -> None:
    (line,) = (line for line in GUIDE.read_text().splitlines() if line.startswith("ACL SETUSER agents "))
    url = valkey_server.url.replace("://", f"://agents:{PASSWORD}@")
    with closing(redis.Redis.from_url(valkey_server.url)) as server, closing(Wire(valkey_server.url)) as wire:
        server.execute_command(*line.replace(">PASSWORD", f">{PASSWORD}").split())
        agent = start_agent(processes, url, tmp_path)
        wire.order(RunCommand(unit="command/1", attempt=1, argv=["sh", "-c", "exit 7"]))
        assert wire.ended("command/1").exit_code == 7
        assert "NOPERM" not in agent.output
    with closing(redis.Redis.from_url(url)) as own:
        for words in (["FLUSHALL"], ["CONFIG", "GET", "*"], ["ACL", "LIST"], ["SET", "elsewhere", "1"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                own.execute_command(*words)
