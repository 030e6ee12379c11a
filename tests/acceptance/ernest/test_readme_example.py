"""A mapping that was half done when it is submitted: nothing completed is sent again, what runs is awaited."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from graphs import store
from graphs.models import Component, Graph
from tests.acceptance.ernest.conftest import NewListener
from tests.support.bridges import NewBridge
from tests.support.ernest import Ernest, hear
from tests.support.wait import wait_until
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


def completed(component_id: str) -> Message:
    body = component(component_id, "completed")
    return Message(f"{body['_component']}.delete.aws.done", json.dumps(body).encode())


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_nothing_completed_is_sent_the_gateway_is_awaited_and_vpc_sent_once(
    new_bridge: NewBridge, new_listener: NewListener
) -> None:
    wire = new_listener("*.delete.aws", "build.delete.done", "build.delete.error")
    new_bridge()
    wire.publish([Message("build.delete", json.dumps(half_done()).encode())])
    wait_until(lambda: Graph.objects.exists(), what="the build")
    assert wire.take(10, 0.5) == []

    wire.publish([completed("internet_gateway::test-vpc")])
    heard: list[Message] = []
    wait_until(lambda: bool(hear(wire, heard)), what="the send of the vpc")
    wire.publish([completed("vpc::test-vpc")])
    wait_until(lambda: len(hear(wire, heard)) > 1, what="the end")
    assert [message.subject for message in [*heard, *wire.take(10, 0.5)]] == ["vpc.delete.aws", "build.delete.done"]
    ended = json.loads(heard[-1].data)
    assert [one["_component_id"] for one in ended["components"]] == ["credentials::aws"]


def gateway_with(**policy: Any) -> dict[str, Any]:
    """The example, with a policy for the gateway, which is in flight."""
    document = half_done()
    document["changes"][1] |= policy
    return document


@pytest.mark.django_db
def test_the_gateway_is_sent_again_in_time_where_its_policy_says_so(ernest: Ernest) -> None:
    ernest.start(gateway_with(_timeout_s=30, _attempts=2), "build.delete")
    assert ernest.server.subjects("*.*.aws") == []
    for _ in range(2):
        ernest.now += timedelta(minutes=10)
        store.sweep(ernest.now)
    ernest.work()
    assert ernest.server.subjects("*.*.aws") == ["internet_gateway.delete.aws"]


@pytest.mark.django_db
def test_the_gateway_waits_for_a_person_where_its_policy_forbids_to_send_it_again(ernest: Ernest) -> None:
    ernest.start(gateway_with(_timeout_s=30, _attempts=2, _resend="never"), "build.delete")
    for _ in range(2):
        ernest.now += timedelta(minutes=10)
        store.sweep(ernest.now)
    ernest.work()
    assert (ernest.server.subjects("*.*.aws"), ernest.ends) == ([], [])
    assert Component.objects.changes().get(component_id="internet_gateway::test-vpc").needs_attention


@pytest.mark.django_db
def test_the_gateway_fails_in_time_where_its_policy_allows_one_attempt(ernest: Ernest) -> None:
    ernest.start(gateway_with(_timeout_s=30), "build.delete")
    ernest.now += timedelta(seconds=31)
    store.sweep(ernest.now)
    ernest.work()
    assert (ernest.server.subjects("*.*.aws"), ernest.ends) == ([], ["build.delete.error"])


@pytest.mark.django_db
def test_what_failed_before_ends_the_graph_at_once() -> None:
    document = half_done()
    for change in document["changes"]:
        change["_state"] = "errored" if change["_state"] == "running" else change["_state"]
    graph = store.submit(document, NOW, source="http")
    assert (graph.state, graph.reason) == ("errored", "1 of 7 components failed, 1 not started")
    assert Component.objects.changes().get(component_id="vpc::test-vpc").state == "waiting"
    assert Graph.objects.get().announce_at == NOW
