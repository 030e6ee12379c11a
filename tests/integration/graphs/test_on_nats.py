"""Graphs over a real NATS server, with the demo connector as a process of its own."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from graphs import store
from graphs.bridge.loop import Bridge, make_bridge
from graphs.models import Component, Graph
from scheduler_project.models import Event
from scheduler_project.toolkit.errors import ConfigurationError
from tests.integration.graphs.mappings import mapping
from tests.support.processes import Process, Processes
from tests.support.wait import wait_until
from workers.links.backlog import Message
from workers.links.nats import NatsLink

EXAMPLE = Path(__file__).parents[3] / "examples" / "graph.json"
CONNECTOR = "examples/demo_connector.py"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(90)]


@pytest.fixture
def outsider(nats_server: Any) -> Iterator[NatsLink]:
    """Somebody on NATS who hears how builds end."""
    link = NatsLink(nats_server.url, ["build.*.done", "build.*.error", "inbox.*"], uuid.uuid4().hex, "outsider")
    link.start()
    link.wait_connected(10)
    yield link
    link.stop()


@pytest.fixture
def bridge(nats_server: Any, settings: Any) -> Iterator[Bridge]:
    """A bridge in a thread of the test."""
    settings.NATS_URI = nats_server.url
    bridge = make_bridge()
    bridge.start()
    yield bridge
    bridge.stop()


@pytest.fixture
def connector(nats_server: Any, processes: Processes) -> Process:
    """The demo connector, listening."""
    process = processes.python(CONNECTOR, NATS_URI=nats_server.url, DEMO_DELAY_S="0.02")
    process.wait_for_line("listening")
    return process


def heard(outsider: NatsLink, timeout_s: float = 30) -> tuple[str, Any]:
    """The next thing that the outsider hears."""
    found: list[Message] = []

    def probe() -> bool:
        found.extend(outsider.take(1, 0.1))
        return bool(found)

    wait_until(probe, timeout_s, what="an end on NATS")
    return found[0].subject, json.loads(found[0].data)


def publish(outsider: NatsLink, bridge: Bridge, subject: str, data: bytes, reply: str = "") -> None:
    """Publishes once the bridge listens."""
    wait_until(lambda: bridge.connected, what="the bridge's connection")
    outsider.publish([Message(subject, data, reply)])


def test_a_plain_publish_runs_the_example_to_its_end(outsider: NatsLink, bridge: Bridge, connector: Process) -> None:
    publish(outsider, bridge, "build.create", EXAMPLE.read_bytes())
    subject, ended = heard(outsider)

    assert subject == "build.create.done"
    by_id = {one["_component_id"]: one for one in ended["components"]}
    assert len(by_id) == 13
    assert by_id["record::shop"]["target"] == by_id["elb::web"]["dns_name"]
    assert by_id["instance::db-1"]["volume_id"] == by_id["volume::db-data"]["volume_aws_id"]
    assert ended["user_id"] == 1


def test_a_graph_submitted_to_the_store_runs_the_same(outsider: NatsLink, bridge: Bridge, connector: Process) -> None:
    store.submit(json.loads(EXAMPLE.read_bytes()), timezone.now(), source="http")
    assert heard(outsider)[0] == "build.create.done"
    wait_until(lambda: Graph.objects.get().announced_at, what="the announcement to be marked")
    assert Component.objects.changes().filter(sent_at=None).count() == 0


def test_a_component_that_fails_ends_the_build_with_its_reason(
    outsider: NatsLink, bridge: Bridge, connector: Process
) -> None:
    document = json.loads(EXAMPLE.read_bytes())
    document["changes"][0] |= {"fail": True, "_attempts": 1}
    publish(outsider, bridge, "build.create", json.dumps(document).encode())
    subject, ended = heard(outsider)
    assert subject == "build.create.error"
    assert ended["changes"][0]["error"] == "vpc::shop was asked to fail"


def test_an_invalid_mapping_is_answered_at_once(outsider: NatsLink, bridge: Bridge) -> None:
    publish(outsider, bridge, "build.create", b'{"id": "b1", "changes": [{}]}', reply="inbox.1")
    answers = dict([heard(outsider), heard(outsider)])
    assert answers["build.create.error"] == answers["inbox.1"]
    assert answers["inbox.1"]["errors"] == [{"path": "changes[0]._component_id", "message": "is missing"}]


def test_starts_and_replies_that_come_twice_change_nothing(
    outsider: NatsLink, bridge: Bridge, connector: Process
) -> None:
    body = json.dumps(mapping({"vpc::a": [], "network::a": ["vpc::a"]})).encode()
    for _ in range(3):
        publish(outsider, bridge, "build.create", body)
    assert heard(outsider)[0] == "build.create.done"
    stray = json.dumps({"_component_id": "vpc::a", "service": "b1", "_state": "completed"}).encode()
    outsider.publish([Message("vpc.create.demo.done", stray)])

    wait_until(lambda: Event.objects.filter(name="component.report_ignored").exists(), what="the stray reply")
    assert outsider.take(1, 0.01) == []
    assert connector.output.count("vpc.create.demo") == 1


def test_a_bridge_that_is_stopped_in_the_middle_is_replaced_by_the_next(
    outsider: NatsLink, nats_server: Any, settings: Any, processes: Processes
) -> None:
    settings.NATS_URI = nats_server.url
    slow = processes.python(CONNECTOR, NATS_URI=nats_server.url, DEMO_DELAY_S="0.3")
    slow.wait_for_line("listening")
    first = make_bridge()
    first.start()
    publish(outsider, first, "build.create", EXAMPLE.read_bytes())
    wait_until(lambda: Component.objects.filter(state="running", sent_at__isnull=False).exists(), what="a send")
    second = make_bridge()
    second.start()
    wait_until(lambda: second.connected, what="the second bridge's connection")
    first.stop()

    assert heard(outsider)[0] == "build.create.done"
    second.stop()


def test_the_connector_outlives_the_server_and_stops_in_order(nats_server: Any, connector: Process) -> None:
    nats_server.restart()
    before = connector.output
    link = NatsLink(nats_server.url, ["vpc.create.demo.done"], "g", "asker")
    link.start()
    link.wait_connected(20)
    body = json.dumps({"_component": "vpc", "_component_id": "vpc::a", "_action": "create"}).encode()

    def answered() -> bool:
        link.publish([Message("vpc.create.demo", body)])
        return bool(link.take(1, 0.3))

    wait_until(answered, timeout_s=20, what=f"an answer after the outage, said before: {before}")
    link.stop()
    connector.stop()
    assert connector.wait_ended() == 0


def test_a_worker_without_a_server_to_bridge_says_so(settings: Any) -> None:
    settings.NATS_URI = ""
    with pytest.raises(ConfigurationError, match="NATS_URI is not set"):
        make_bridge()
