"""The bridge between NATS and the store, on NATS in memory: what connectors and starters of builds see."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from graphs import store
from graphs.bridge.loop import GROUP, PROGRESS_SUBJECTS, REPLY_SUBJECTS, Bridge
from graphs.core.words import START_SUBJECTS
from graphs.models import Component, Graph
from graphs.testing import LoopbackLink, LoopbackServer
from scheduler_project.models import Event
from tests.integration.graphs.mappings import change, mapping
from workers.links.backlog import Message

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[3] / "examples" / "graph.json"
pytestmark = pytest.mark.django_db


class Nats:
    """A server in memory with one bridge, worked by hand."""

    def __init__(self) -> None:
        self.server = LoopbackServer()
        self.now = NOW
        self.link, self.bridge = self.new_bridge()

    def new_bridge(self) -> tuple[LoopbackLink, Bridge]:
        link = LoopbackLink(self.server, (*START_SUBJECTS, *REPLY_SUBJECTS, *PROGRESS_SUBJECTS), GROUP)
        link.start()
        return link, Bridge(link, lambda: self.now)

    def publish(self, subject: str, body: Any, reply: str = "") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.server.publish(Message(subject, data, reply))

    def work(self) -> None:
        """Lets the bridge do all there is to do."""
        self.bridge.handle([])
        while messages := self.link.take(500, 0.01):
            self.bridge.handle(messages)
        self.bridge.handle([])

    def reply(self, subject: str, component_id: str, state: str = "completed", **fields: Any) -> None:
        body = {"_component_id": component_id, "service": "b1", "_state": state, "_action": "create"} | fields
        self.publish(subject, body)
        self.work()


@pytest.fixture
def nats() -> Nats:
    return Nats()


def obedient(component: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**component, "_state": "completed", f"{component['_component']}_aws_id": f"id-{component['name']}"}


def test_the_example_runs_from_build_create_to_build_create_done(nats: Nats) -> None:
    nats.server.connect("*.*.demo", lambda component: {**obedient(component), "dns_name": "shop.elb"})
    nats.publish("build.create", EXAMPLE.read_bytes())
    nats.work()

    [done] = nats.server.bodies("build.create.done")
    assert {one["_state"] for one in done["changes"]} == {"completed"}
    assert len(nats.server.subjects("*.create.demo")) == 12
    [elb] = nats.server.bodies("elb.create.demo")
    assert elb["instance_aws_ids"] == ["id-web-1", "id-web-2", "id-web-3"]
    assert (elb["_state"], elb["service"]) == ("running", "shop-1")
    assert "credentials::demo" in {one["_component_id"] for one in done["components"]}


def test_a_graph_submitted_elsewhere_is_sent_and_announced_all_the_same(nats: Nats) -> None:
    nats.server.connect("*.*.demo", lambda component: {**component, "_state": "completed"})
    store.submit(mapping({"vpc::a": [], "network::a": ["vpc::a"]}), NOW, source="http")
    nats.work()

    assert nats.server.subjects("*.*.demo") == ["vpc.create.demo", "network.create.demo"]
    assert len(nats.server.subjects("build.create.done")) == 1


def test_a_component_starts_when_its_own_dependencies_are_completed_not_its_siblings(nats: Nats) -> None:
    nats.publish("build.create", mapping({"vpc::a": [], "slow::b": [], "network::a": ["vpc::a"]}))
    nats.work()
    nats.reply("vpc.create.demo.done", "vpc::a")

    assert nats.server.subjects("network.*.demo") == ["network.create.demo"]
    assert Graph.objects.get().state == "running"


def test_after_an_error_nothing_is_sent_and_what_is_in_flight_is_awaited(nats: Nats) -> None:
    nats.publish("build.create", mapping({"vpc::a": [], "vpc::b": [], "network::a": ["vpc::b"]}))
    nats.work()
    nats.reply("vpc.create.demo.error", "vpc::a", "errored", error="no quota")
    assert nats.server.subjects("build.create.error") == []

    nats.reply("vpc.create.demo.done", "vpc::b", vpc_aws_id="v-1")
    [ended] = nats.server.bodies("build.create.error")
    by_id = {one["_component_id"]: one for one in ended["changes"]}
    assert (by_id["vpc::a"]["error"], by_id["vpc::b"]["vpc_aws_id"]) == ("no quota", "v-1")
    assert by_id["network::a"]["_state"] == "waiting"
    assert ended["error"] == "1 of 3 components failed, 1 not started"
    assert nats.server.subjects("network.*.demo") == []


def test_an_invalid_mapping_is_refused_with_every_fault_and_answered(nats: Nats) -> None:
    document = mapping({"vpc::a": ["vpc::b"], "vpc::b": ["vpc::a"]}, user_id="x")
    nats.publish("build.delete", document, reply="_INBOX.1")
    nats.work()

    [told] = nats.server.bodies("build.delete.error")
    assert {fault["path"] for fault in told["errors"]} == {"user_id", "edges"}
    assert "vpc::a → vpc::b → vpc::a" in told["error"]
    assert nats.server.bodies("_INBOX.1") == [told]
    assert not Graph.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"7", b"\xff", b'{"id":' * 100_000, b'{"x": NaN}'])
def test_a_start_message_that_is_no_mapping_is_refused(nats: Nats, body: bytes) -> None:
    nats.publish("build.create", body)
    nats.work()
    assert len(nats.server.bodies("build.create.error")) == 1


def test_a_sender_that_awaits_an_answer_learns_the_id(nats: Nats) -> None:
    nats.publish("build.create", mapping({"vpc::a": []}), reply="_INBOX.1")
    nats.work()
    assert nats.server.bodies("_INBOX.1") == [{"id": "b1", "state": "pending"}]


def test_a_start_message_delivered_twice_sends_nothing_twice(nats: Nats) -> None:
    for _ in range(2):
        nats.publish("build.create", mapping({"vpc::a": []}))
    nats.work()
    assert nats.server.subjects("vpc.*.demo") == ["vpc.create.demo"]


@pytest.mark.parametrize(
    ("component_id", "graph_id", "why"),
    [
        ("vpc::nope", "b1", "no component 'vpc::nope'"),
        ("network::a", "b1", "is waiting"),
        ("vpc::a", "elsewhere", "no such graph"),
    ],
)
def test_a_reply_that_nobody_awaits_is_recorded_and_has_no_effect(
    nats: Nats, component_id: str, graph_id: str, why: str
) -> None:
    nats.publish("build.create", mapping({"vpc::a": [], "network::a": ["vpc::a"]}))
    nats.work()
    before = Graph.objects.get()
    nats.reply("vpc.create.demo.done", component_id, service=graph_id)

    assert Graph.objects.get().version == before.version
    event = Event.objects.get(name="component.report_ignored")
    assert (event.subject, why in event.message) == (f"graph:{graph_id}", True)


def test_a_doubled_reply_has_no_effect_the_second_time(nats: Nats) -> None:
    nats.publish("build.create", mapping({"vpc::a": [], "network::a": ["vpc::a"]}))
    nats.work()
    for _ in range(2):
        nats.reply("vpc.create.demo.done", "vpc::a")
    assert nats.server.subjects("network.*.demo") == ["network.create.demo"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"_component_id": "vpc::a"}', b'{"_component_id": 7}'])
def test_an_unreadable_reply_harms_nobody(nats: Nats, body: bytes) -> None:
    nats.publish("build.create", mapping({"vpc::a": []}))
    nats.work()
    nats.publish("vpc.create.demo.done", body)
    nats.reply("vpc.create.demo.done", "vpc::a")
    assert Graph.objects.get().state == "completed"


def test_a_reply_whose_subject_and_state_disagree_fails_the_component(nats: Nats) -> None:
    nats.publish("build.create", mapping({"vpc::a": []}))
    nats.work()
    nats.reply("vpc.create.demo.error", "vpc::a", "completed")
    assert "contradict" in Component.objects.changes().get().reason


def test_a_reply_for_an_earlier_attempt_has_no_effect(nats: Nats) -> None:
    nats.publish("build.create", mapping({"vpc::a": []}))
    nats.work()
    body = json.dumps({"_component_id": "vpc::a", "service": "b1", "_state": "completed"}).encode()
    nats.server.publish(Message("vpc.create.demo.done", body, headers={"Scheduler-Attempt": "7"}))
    nats.work()
    assert Component.objects.changes().get().state == "running"


def test_fields_that_a_connector_does_not_know_are_kept(nats: Nats) -> None:
    document = mapping({"vpc::a": []})
    document["changes"][0] |= {"tags": {"owner": "ann", "tier": "1"}, "size": 12345678901234567890}
    nats.publish("build.create", document)
    nats.work()
    nats.reply("vpc.create.demo.done", "vpc::a", tags={"tier": "2"}, _action="delete")

    [done] = nats.server.bodies("build.create.done")
    for part in ("changes", "components"):
        [component] = done[part]
        assert component["tags"] == {"owner": "ann", "tier": "2"}
        assert (component["size"], component["_action"]) == (12345678901234567890, "create")


def test_a_template_that_finds_nothing_fails_its_component_and_is_not_sent(nats: Nats) -> None:
    document = mapping({"vpc::a": [], "network::a": ["vpc::a"]})
    document["changes"][1]["vpc_id"] = '$(components.#[_component_id="vpc::a"].vpc_aws_id)'
    nats.publish("build.create", document)
    nats.work()
    nats.reply("vpc.create.demo.done", "vpc::a")

    [ended] = nats.server.bodies("build.create.error")
    assert ".vpc_aws_id) finds nothing" in ended["changes"][1]["error"]
    assert nats.server.subjects("network.*.*") == []


def test_a_provider_from_a_template_becomes_the_subject(nats: Nats) -> None:
    document = mapping({"vpc::a": []}, datacenters={"items": [{"type": "aws-fake"}]})
    document["changes"][0]["_provider"] = "$(datacenters.items.0.type)"
    nats.publish("build.create", document)
    nats.work()
    assert nats.server.subjects("vpc.create.*") == ["vpc.create.aws-fake"]


def test_what_a_find_brings_exists_afterwards(nats: Nats) -> None:
    document = mapping({"vpcs::query": []})
    document["changes"] = [change("vpcs::query", _action="find")]
    nats.publish("build.import", document)
    nats.work()
    found = [{"_component_id": "vpc::1"}, {"_component_id": "vpc::2"}, "junk"]
    nats.reply("vpcs.find.demo.done", "vpcs::query", components=found)

    [done] = nats.server.bodies("build.import.done")
    assert [one["_component_id"] for one in done["components"]] == ["vpc::1", "vpc::2"]
    assert Event.objects.filter(name="component.found_ignored").count() == 1


def test_what_was_deleted_no_longer_exists(nats: Nats) -> None:
    document = mapping({"vpc::a": []}, components=[change("vpc::a"), change("vpc::b")])
    document["changes"] = [change("vpc::a", _action="delete")]
    nats.publish("build.delete", document)
    nats.work()
    nats.reply("vpc.delete.demo.done", "vpc::a")

    [done] = nats.server.bodies("build.delete.done")
    assert [one["_component_id"] for one in done["components"]] == ["vpc::b"]


def test_nothing_is_claimed_while_nats_is_away_and_all_is_sent_when_it_is_back(nats: Nats) -> None:
    nats.server.connect("*.*.demo", lambda component: {**component, "_state": "completed"})
    nats.server.reachable = False
    store.submit(mapping({"vpc::a": []}), NOW, source="http")
    nats.work()
    assert Graph.objects.get().state == "pending"

    nats.server.reachable = True
    nats.work()
    assert Graph.objects.get().state == "completed"


def test_a_send_that_was_claimed_and_never_made_is_made_again_as_the_next_attempt(nats: Nats) -> None:
    document = mapping({"vpc::a": []})
    document["changes"][0]["_resend"] = "always"
    store.submit(document, NOW, source="http")
    store.claim_any(["nats"], NOW)
    store.sweep(NOW + timedelta(seconds=9))
    nats.work()
    assert nats.server.subjects("vpc.*.*") == []

    store.sweep(NOW + timedelta(seconds=11))
    nats.work()
    assert [message.headers["Scheduler-Attempt"] for message in nats.server.published] == ["2"]
    assert "attempt 1 is not known to have been sent" in Event.objects.get(name="component.waiting").message


def test_what_was_sent_is_not_sent_again(nats: Nats) -> None:
    nats.publish("build.create", mapping({"vpc::a": []}))
    nats.work()
    store.sweep(NOW + timedelta(days=1))
    nats.work()
    assert nats.server.subjects("vpc.*.*") == ["vpc.create.demo"]


def test_no_reply_within_the_timeout_fails_the_component(nats: Nats, settings: Any) -> None:
    settings.GRAPH_REPLY_TIMEOUT_S = 60
    nats.publish("build.create", mapping({"vpc::a": []}))
    nats.work()
    store.sweep(NOW + timedelta(seconds=61))
    nats.now += timedelta(seconds=61)
    nats.work()
    assert "no reply by 2026-01-02T03:05:05" in nats.server.bodies("build.create.error")[0]["changes"][0]["error"]


def test_replies_of_several_graphs_in_one_batch_do_not_mix(nats: Nats) -> None:
    for graph_id in ("b1", "b2"):
        store.submit(mapping({"vpc::a": [], "vpc::b": [], "net::c": ["vpc::b"]}, graph_id), NOW, source="http")
    nats.work()
    for graph_id, failing in (("b1", "vpc::a"), ("b2", "")):
        for one in ("vpc::a", "vpc::b"):
            state = "errored" if one == failing else "completed"
            body = {"_component_id": one, "service": graph_id, "_state": state}
            nats.publish(f"vpc.create.demo.{'error' if one == failing else 'done'}", body)
    nats.work()

    assert [one["service"] for one in nats.server.bodies("net.create.demo")] == ["b2"]
    assert not Graph.objects.with_ready(["nats"]).exists()


def test_a_failed_graph_that_still_waits_has_nothing_ready(nats: Nats) -> None:
    store.submit(mapping({"vpc::a": [], "vpc::b": [], "vpc::c": [], "net::d": ["vpc::b"]}), NOW, source="http")
    nats.work()
    nats.reply("vpc.create.demo.error", "vpc::a", "errored")
    nats.reply("vpc.create.demo.done", "vpc::b")
    assert (Graph.objects.get().state, Graph.objects.get().running) == ("running", 1)
    assert Component.objects.ready().get().component_id == "net::d"
    assert not Graph.objects.with_ready(["nats"]).exists()


def test_what_is_found_and_deleted_in_one_batch_is_gone(nats: Nats) -> None:
    document = mapping({"vpcs::query": [], "vpc::1": []})
    document["changes"] = [change("vpcs::query", _action="find"), change("vpc::1", _action="delete")]
    store.submit(document, NOW, source="http")
    nats.work()
    common = {"service": "b1", "_state": "completed"}
    found = {"_component_id": "vpcs::query", "components": [{"_component_id": "vpc::1"}]}
    nats.publish("vpcs.find.demo.done", common | found)
    nats.publish("vpc.delete.demo.done", common | {"_component_id": "vpc::1"})
    nats.work()
    assert nats.server.bodies("build.create.done")[0]["components"] == []


def test_a_component_may_ask_to_be_sent_again_while_no_reply_comes(nats: Nats) -> None:
    document = mapping({"vpc::a": []})
    document["changes"][0] |= {"_timeout_s": 5, "_attempts": 2, "_resend": "always"}
    nats.publish("build.create", document)
    for _ in range(3):
        nats.work()
        nats.now += timedelta(seconds=6)
        store.sweep(nats.now)
    nats.work()

    sent = [message for message in nats.server.published if message.subject == "vpc.create.demo"]
    assert [message.headers["Scheduler-Attempt"] for message in sent] == ["1", "2"]
    assert "attempt 2 had no reply" in nats.server.bodies("build.create.error")[0]["changes"][0]["error"]


def test_the_end_is_announced_by_one_of_two_bridges(nats: Nats) -> None:
    _, other = nats.new_bridge()
    store.submit({"id": "empty"}, NOW, source="http")
    nats.bridge.announce()
    other.announce()
    assert nats.server.subjects("build.create.done") == ["build.create.done"]


def test_two_bridges_that_see_the_same_end_do_not_both_announce_it(nats: Nats) -> None:
    store.submit({"id": "empty"}, NOW, source="http")
    turns = iter([True])
    taken_between: list[Graph] = []

    def meanwhile(execute: Any, sql: str, *arguments: Any) -> Any:
        result = execute(sql, *arguments)
        if next(turns, False):
            taken_between.extend(store.take_announcements(NOW))
        return result

    with connection.execute_wrapper(meanwhile):
        assert store.take_announcements(NOW) == []
    assert [graph.pk for graph in taken_between] == ["empty"]


def test_an_announcement_that_failed_is_made_later(nats: Nats) -> None:
    store.submit({"id": "empty"}, NOW, source="http")
    store.take_announcements(NOW)
    nats.bridge.announce()
    assert nats.server.published == []

    nats.now += timedelta(seconds=31)
    nats.bridge.announce()
    assert len(nats.server.published) == 1


def test_a_graph_of_a_topology_is_not_announced(nats: Nats) -> None:
    store.submit({"id": "empty"}, NOW, source="topology")
    nats.work()
    assert nats.server.published == []


def test_a_component_larger_than_the_server_takes_fails_with_the_sizes(nats: Nats) -> None:
    nats.server.max_payload = 2000
    document = mapping({"vpc::a": []})
    document["changes"][0]["text"] = "x" * 3000
    store.submit(document, NOW, source="http")
    nats.work()
    nats.bridge.announce()

    assert "that the NATS server takes" in Component.objects.changes().get().reason
    [ended] = nats.server.bodies("build.create.error")
    assert "more bytes than the server takes" in ended["omitted"]


def test_a_cancelled_graph_ends_as_an_error_that_says_so(nats: Nats) -> None:
    nats.publish("build.create", mapping({"vpc::a": [], "network::a": ["vpc::a"]}))
    nats.work()
    store.cancel("b1", NOW, "ann")
    nats.reply("vpc.create.demo.done", "vpc::a")

    [ended] = nats.server.bodies("build.create.error")
    assert ended["error"] == "the graph was cancelled"
    assert [one["_state"] for one in ended["changes"]] == ["completed", "cancelled"]
    assert nats.server.subjects("network.*.*") == []
