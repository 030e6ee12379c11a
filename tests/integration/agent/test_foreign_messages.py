"""What a foreign producer puts on the queues: pickle and YAML are never loaded, the refusal is logged, work goes on."""

import os
import pickle
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery import Celery
from kombu import Connection

from tests.support.processes import Processes
from tests.support.servers import Server
from tests.support.wait import wait_until
from tests.support.wire import HOST, Wire, start_agent
from workers.models import RefusedMessages
from workers.protocol import HEARTBEAT_QUEUE, HEARTBEAT_TASK, RECEIVE_TASK, REPORTS_TASK, RunCommand

REFUSED_AT_LEAST = 2  # pickle and YAML


def unreadable() -> int:
    """How many messages control has counted as such."""
    return sum(RefusedMessages.objects.filter(reason="unreadable").values_list("count", flat=True))


def counted(wire: Wire) -> int:
    """How many the agent has told of."""
    wire.read()
    return wire.heartbeats[-1].refused.get("unreadable", 0)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._trace),)


def put(url: str, queue: str, task: str, trace: Path) -> None:
    """A message of each foreign kind, as Celery's own would look."""
    arguments: list[Any] = [[Bomb(trace)], {}, {}]
    unsafe = f"!!python/object/apply:os.mkdir ['{trace}']"
    with Connection(url) as connection:
        producer = connection.Producer()
        for content_type, encoding, body in (
            ("application/x-python-serialize", "binary", pickle.dumps(arguments)),
            ("application/x-yaml", "utf-8", f"- [{unsafe}]\n- {{}}\n- {{}}\n"),
            ("application/json", "utf-8", "[["),
        ):
            headers = {"task": task, "id": f"foreign-{content_type}", "lang": "py", "argsrepr": "", "kwargsrepr": ""}
            producer.publish(
                body,
                routing_key=queue,
                exchange="",
                headers=headers,
                content_type=content_type,
                content_encoding=encoding,
            )


@pytest.fixture(params=["valkey_server", "rabbitmq_server"])
def broker(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


def test_the_messages_would_do_harm_to_who_loads_them(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps([[Bomb(tmp_path / "a")], {}, {}]))
    yaml.unsafe_load(f"- [!!python/object/apply:os.mkdir ['{tmp_path / 'b'}']]")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_an_agent_refuses_them_and_lives_on(broker: Server, processes: Processes, tmp_path: Path) -> None:
    with closing(Wire(broker.url)) as wire:
        agent = start_agent(processes, broker.url, tmp_path)
        wire.meet()

        put(broker.url, HOST, RECEIVE_TASK, tmp_path / "trace")
        agent.wait_for_line("Refusing to deserialize untrusted content of type pickle")
        agent.wait_for_line("Refusing to deserialize untrusted content of type yaml")
        wire.order(RunCommand(unit="command/1", attempt=1, argv=["sh", "-c", "exit 7"]))

        assert wire.ended("command/1").exit_code == 7
        wait_until(lambda: counted(wire) >= REFUSED_AT_LEAST, 20, what="their count in a heartbeat")
    assert not (tmp_path / "trace").exists()


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_control_refuses_them_and_lives_on(
    broker: Server, processes: Processes, database_url: str, tmp_path: Path
) -> None:
    control = processes.worker("control", broker.url, DATABASE_URL=database_url)

    put(broker.url, "control", REPORTS_TASK, tmp_path / "trace")
    control.wait_for_line("Refusing to deserialize untrusted content of type pickle")
    control.wait_for_line("Refusing to deserialize untrusted content of type yaml")
    put(broker.url, HEARTBEAT_QUEUE, HEARTBEAT_TASK, tmp_path / "trace")
    control.wait_for_line("heartbeat.unreadable")
    with closing(Celery(broker=broker.url, set_as_current=False)) as app:
        app.send_task("workers.sweep", queue="control")
        control.wait_for_line("workers.sweep")
    wait_until(lambda: control.alive)
    wait_until(lambda: unreadable() >= 2 * REFUSED_AT_LEAST, 20, what="those of both queues to be counted")

    assert not (tmp_path / "trace").exists()
