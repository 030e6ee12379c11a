"""A mapping that was half done when it is submitted: nothing completed is sent again, what runs is awaited."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from graphs import store
from graphs.bridge.loop import GROUP, REPLY_SUBJECTS, Bridge
from graphs.core.words import START_SUBJECTS
from graphs.models import Component, Graph
from graphs.testing import LoopbackLink, LoopbackServer
from workers.links.backlog import Message

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EDGES = [
    ("internet_gateway::test-vpc", "vpc::test-vpc"),
    ("firewall::test-vm", "vpc::test-vpc"),
    ("firewall::test-elb", "vpc::test-vpc"),
    ("network::test-dmz", "internet_gateway::test-vpc"),
    ("instance::test-web-1", "firewall::test-vm"),
    ("instance::test-web-1", "network::test-dmz"),
    ("elb::test-elb", "firewall::test-elb"),
    ("elb::test-elb", "network::test-dmz"),
    ("elb::test-elb", "instance::test-web-1"),
    ("vpc::test-vpc", "end"),
    ("start", "elb::test-elb"),
]
STATES = {
    "vpc::test-vpc": "waiting",
    "internet_gateway::test-vpc": "running",
    "firewall::test-vm": "completed",
    "network::test-dmz": "completed",
    "firewall::test-elb": "completed",
    "instance::test-web-1": "completed",
    "elb::test-elb": "completed",
}


def component(component_id: str, state: str, verb: str = "delete") -> dict[str, Any]:
    kind, _, name = component_id.partition("::")
    identity = {"_component": kind, "_component_id": component_id, "_provider": "aws", "name": name}
    return identity | {"_action": verb, "_state": state, "service": "test-generated-id"}


def half_done() -> dict[str, Any]:
    existing = ["vpc::test-vpc", "internet_gateway::test-vpc"]
    return {
        "id": "test-generated-id",
        "action": "service.delete",
        "edges": [{"source": source, "destination": destination, "length": 1} for source, destination in EDGES],
        "components": [component(one, "waiting") for one in existing]
        + [component("credentials::aws", "waiting", "none")],
        "changes": [component(one, state) for one, state in STATES.items()],
    }


@pytest.mark.django_db
def test_only_what_is_not_done_is_done() -> None:
    server = LoopbackServer()
    link = LoopbackLink(server, (*START_SUBJECTS, *REPLY_SUBJECTS), GROUP)
    link.start()
    bridge = Bridge(link, lambda: NOW)
    store.submit(half_done(), NOW, source="http")
    bridge.push()
    assert server.published == []

    reply = component("internet_gateway::test-vpc", "completed")
    server.publish(Message("internet_gateway.delete.aws.done", json.dumps(reply).encode()))
    bridge.handle(link.take(10, 0.1))
    assert server.subjects("*.*.*") == ["vpc.delete.aws"]

    server.publish(Message("vpc.delete.aws.done", json.dumps(component("vpc::test-vpc", "completed")).encode()))
    bridge.handle(link.take(10, 0.1))
    bridge.handle([])
    [ended] = server.bodies("build.delete.done")
    assert [one["_component_id"] for one in ended["components"]] == ["credentials::aws"]
    assert len(server.subjects("*.*.aws")) == 1


@pytest.mark.django_db
def test_what_failed_before_ends_the_graph_at_once() -> None:
    document = half_done()
    for change in document["changes"]:
        change["_state"] = "errored" if change["_state"] == "running" else change["_state"]
    graph = store.submit(document, NOW, source="http")
    assert (graph.state, graph.reason) == ("errored", "1 of 7 components failed, 1 not started")
    assert Component.objects.changes().get(component_id="vpc::test-vpc").state == "waiting"
    assert Graph.objects.get().announce_at == NOW
