"""How components are chosen, sent and settled: each rule of ernest's, and what is better where ernest's does harm.

The numbers in the names are those of the rules: 3 scheduling, 4 side effects, 5 completion, 6 errors, 8 order of
deletes, 9 running again.
"""

import json
from datetime import timedelta
from typing import Any

import pytest

from graphs import store
from graphs.export import mapping
from graphs.models import Component, Graph
from scheduler_project.models import Event
from tests.acceptance.ernest.conftest import NewListener
from tests.support.bridges import NewBridge
from tests.support.ernest import Ernest, build, change, hear, states
from tests.support.wait import wait_until
from workers.links.backlog import Message

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]
CHAIN = [change("vpc::v", name="v"), change("network::n", vpc_id='$(components.#[_component_id="vpc::v"].aws_id)')]
CHAIN_EDGES = "start>vpc::v vpc::v>network::n network::n>end"


def test_rule_3_1_what_hangs_from_a_component_goes_out_in_the_order_of_the_edges(ernest: Ernest) -> None:
    names = ["x::3", "x::1", "x::2"]
    ernest.start(build([change(one) for one in sorted(names)], " ".join(f"start>{one}" for one in names)))
    assert ernest.sent == names


def test_rule_3_2_a_component_goes_out_when_all_that_leads_to_it_is_completed(ernest: Ernest) -> None:
    ernest.start(build([change("a::1"), change("a::2"), change("b::1")], "start>a::1 start>a::2 a::1>b::1 a::2>b::1"))
    ernest.answer("a::1")
    assert ernest.sent == ["a::1", "a::2"]
    ernest.answer("a::2")
    assert ernest.sent == ["a::1", "a::2", "b::1"]


def test_rule_3_2_a_source_that_nobody_knows_is_refused_and_does_not_count_as_satisfied(ernest: Ernest) -> None:
    ernest.start(build([change("a::1")], "start>a::1 mispelt>a::1"))
    assert ernest.refusal() == {"edges[1].source": "there is no component 'mispelt'"}


def test_rule_3_2_what_exists_and_is_not_changed_keeps_nobody_waiting(ernest: Ernest) -> None:
    ernest.start(build([change("a::1")], "old::1>a::1", components=[change("old::1", "none", _state="")]))
    assert ernest.sent == ["a::1"]


def test_rule_3_3_nothing_is_sent_once_a_change_has_failed(ernest: Ernest) -> None:
    ernest.start(build([change("a::1"), change("a::2"), change("b::1")], "start>a::1 start>a::2 a::2>b::1"))
    ernest.answer("a::1", "errored")
    ernest.answer("a::2")
    assert ernest.sent == ["a::1", "a::2"]


@pytest.mark.parametrize("state", ["completed", "running"])
def test_rule_3_4_what_is_completed_or_in_flight_is_not_sent_again(ernest: Ernest, state: str) -> None:
    ernest.start(build([change("a::1", _state=state), change("b::1")], "start>a::1 start>b::1"))
    assert ernest.sent == ["b::1"]


def test_rule_3_5_what_only_exists_is_never_sent(ernest: Ernest) -> None:
    ernest.start(build([], "start>b::1", components=[change("b::1", "none")]))
    assert (ernest.sent, ernest.ends) == ([], ["build.create.done"])


def test_rule_4_the_golden_trace_of_a_build_of_two(new_bridge: NewBridge, new_listener: NewListener) -> None:
    new_bridge()
    wire = new_listener("build.create", "build.create.*", "*.create.fake", "*.create.fake.*")
    heard: list[Message] = []

    def next_message() -> tuple[str, Any]:
        wait_until(lambda: bool(heard or hear(wire, heard)), what="a message")
        message = heard.pop(0)
        return message.subject, json.loads(message.data)

    def complete(body: dict[str, Any], **fields: Any) -> None:
        subject = f"{body['_component']}.create.fake.done"
        wire.publish([Message(subject, json.dumps(body | {"_state": "completed"} | fields).encode())])
        assert next_message()[0] == subject

    wire.publish([Message("build.create", json.dumps(build(CHAIN, CHAIN_EDGES)).encode())])
    assert next_message()[0] == "build.create"
    subject, vpc = next_message()
    assert subject == "vpc.create.fake"
    assert vpc == change("vpc::v", name="v", _state="running", service="b1")
    complete(vpc, aws_id="v-1")
    subject, network = next_message()
    assert subject == "network.create.fake"
    assert network == change("network::n", vpc_id="v-1", _state="running", service="b1")
    complete(network)
    subject, ended = next_message()
    assert subject == "build.create.done"
    assert list(ended)[:9] == [
        "id",
        "name",
        "user_id",
        "username",
        "action",
        "options",
        "components",
        "changes",
        "edges",
    ]
    assert [one["_component_id"] for one in ended["components"]] == ["vpc::v", "network::n"]
    assert wire.take(1, 0.3) == []


@pytest.mark.parametrize("verb", ["create", "delete", "import", "patch", "sync"])
def test_rule_4_each_start_subject_has_its_own_end(ernest: Ernest, verb: str) -> None:
    ernest.start(build([], ""), f"build.{verb}")
    assert ernest.ends == [f"build.{verb}.done"]


def test_rule_4_the_subject_overrides_the_action_in_the_body(ernest: Ernest) -> None:
    ernest.start(build([], "", action="service.create"), "build.delete")
    assert ernest.end()["action"] == "build.delete"


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("create", [], ["x::1"]),
        ("create", ["x::1"], ["x::1"]),
        ("update", ["x::1"], ["x::1"]),
        ("update", [], ["x::1"]),
        ("get", ["x::1"], ["x::1"]),
        ("delete", ["x::1", "y::1"], ["y::1"]),
        ("power", ["x::1"], ["x::1"]),
        ("none", [], []),
    ],
)
def test_rule_4_what_exists_follows_the_verb(ernest: Ernest, verb: str, before: list[str], after: list[str]) -> None:
    existing = [change(one, "none") for one in before]
    ernest.start(build([change("x::1", verb)], "start>x::1", components=existing))
    ernest.answer("x::1", _action=verb)
    assert [one["_component_id"] for one in ernest.end()["components"]] == after


def test_rule_4_the_verb_that_was_sent_counts_and_not_the_one_in_the_reply(ernest: Ernest) -> None:
    ernest.start(build([change("x::1")], "start>x::1"))
    ernest.publish(
        "x.create.fake.done", {"_component_id": "x::1", "service": "b1", "_state": "completed", "_action": "delete"}
    )
    assert [one["_component_id"] for one in ernest.end()["components"]] == ["x::1"]


def test_rule_4_a_find_adds_all_that_it_found_and_not_itself(ernest: Ernest) -> None:
    ernest.start(build([change("xs::query", "find")], "start>xs::query"), "build.import")
    found = [{"_component_id": "x::1"}, {"_component_id": "x::2"}]
    ernest.answer("xs::query", _action="find", components=found)
    assert [one["_component_id"] for one in ernest.end()["components"]] == ["x::1", "x::2"]


def test_rule_5_a_build_is_done_when_every_change_is(ernest: Ernest) -> None:
    ernest.start(build(CHAIN, CHAIN_EDGES))
    ernest.answer("vpc::v", aws_id="v-1")
    assert ernest.ends == []
    ernest.answer("network::n")
    assert ernest.ends == ["build.create.done"]


def test_rule_5_a_build_without_changes_is_done_at_once(ernest: Ernest) -> None:
    ernest.start({})
    assert ernest.ends == ["build.create.done"]


def test_rule_5_a_late_double_does_not_announce_the_end_again(ernest: Ernest) -> None:
    ernest.start(build([change("x::1", "update")], "start>x::1"))
    for _ in range(3):
        ernest.answer("x::1", _action="update")
    assert ernest.ends == ["build.create.done"]


def test_rule_5_a_none_that_is_not_the_last_does_not_hang_the_build(ernest: Ernest) -> None:
    ernest.start(build([change("a::1", "none"), change("b::1")], "start>a::1 a::1>b::1"))
    ernest.answer("a::1", _action="none")
    ernest.answer("b::1")
    assert ernest.ends == ["build.create.done"]


def test_rule_5_an_id_given_twice_is_refused_and_does_not_hang_the_build(ernest: Ernest) -> None:
    ernest.start(build([change("a::1"), change("a::1")], "start>a::1"))
    assert ernest.refusal() == {"changes[1]._component_id": "'a::1' is also the id of changes[0]"}


def test_rule_6_after_an_error_what_is_in_flight_is_awaited_and_kept(ernest: Ernest) -> None:
    ernest.start(build([change("a::1"), change("a::2"), change("b::1")], "start>a::1 start>a::2 a::1>b::1"))
    ernest.answer("a::1", "errored", error="no quota")
    assert ernest.ends == []
    ernest.answer("a::2", aws_id="2")
    ended = ernest.end()
    assert ernest.ends == ["build.create.error"]
    assert states() == {"a::1": "errored", "a::2": "completed", "b::1": "waiting"}
    assert [one["aws_id"] for one in ended["components"]] == ["2"]


@pytest.mark.parametrize("last", ["completed", "errored"])
def test_rule_6_the_end_is_announced_once_with_its_reason(ernest: Ernest, last: str) -> None:
    ernest.start(build([change("a::1"), change("a::2")], "start>a::1 start>a::2"))
    ernest.answer("a::1", "errored", error="no quota")
    ernest.answer("a::2", last)
    ended = ernest.end()
    assert ended["error"].endswith("of 2 components failed")
    assert ended["changes"][0]["error"] == "no quota"


def test_rule_6_a_later_done_of_what_failed_does_not_carry_the_build_on(ernest: Ernest) -> None:
    ernest.start(build([change("a::1"), change("b::1")], "start>a::1 a::1>b::1"))
    ernest.answer("a::1", "errored")
    ernest.answer("a::1")
    assert (ernest.sent, ernest.ends, states()["a::1"]) == (["a::1"], ["build.create.error"], "errored")


@pytest.mark.parametrize(("ending", "state"), [("error", "completed"), ("done", "errored"), ("error", "running")])
def test_rule_6_a_reply_that_contradicts_itself_is_a_failure_and_no_hang(
    ernest: Ernest, ending: str, state: str
) -> None:
    ernest.start(build([change("a::1")], "start>a::1"))
    ernest.answer("a::1", state, ending)
    assert ernest.ends == ["build.create.error"]


def test_rule_6_a_create_of_what_exists_already_is_merged_and_no_error(ernest: Ernest) -> None:
    existing = [change("a::1", old="kept")]
    ernest.start(build([change("a::1"), change("b::1")], "start>a::1 a::1>b::1", components=existing))
    ernest.answer("a::1", aws_id="1")
    assert ernest.sent == ["a::1", "b::1"]
    ernest.answer("b::1")
    assert (ernest.end()["components"][0]["old"], ernest.end()["components"][0]["aws_id"]) == ("kept", "1")


def test_rule_6_what_could_not_be_sent_is_sent_later_and_the_build_does_not_hang(ernest: Ernest) -> None:
    store.submit(build([change("a::1")], "start>a::1"), ernest.now, source="http")
    store.claim_any(["nats"], ernest.now)
    ernest.now += timedelta(minutes=1)
    store.sweep(ernest.now)
    ernest.work()
    ernest.answer("a::1")
    assert ernest.ends == ["build.create.done"]


def test_rule_8_deletes_updates_and_creates_are_ordered_by_their_edges_alone(ernest: Ernest) -> None:
    changes = [change("new::1"), change("net::1", "update"), change("old::1", "delete")]
    ernest.start(build(changes, "start>old::1 old::1>net::1 net::1>new::1", components=[change("old::1")]))
    ernest.answer("old::1", _action="delete")
    ernest.answer("net::1", _action="update")
    ernest.answer("new::1")
    assert ernest.sent == ["old::1", "net::1", "new::1"]
    assert [one["_component_id"] for one in ernest.end()["components"]] == ["net::1", "new::1"]


def test_rule_9_a_stored_mapping_that_is_given_again_goes_on_where_it_was(ernest: Ernest) -> None:
    ernest.start(build(CHAIN, CHAIN_EDGES))
    ernest.answer("vpc::v", aws_id="v-1")
    half_done = mapping(Graph.objects.get(pk="b1"))
    half_done["id"] = "b2"
    half_done["changes"][1]["_state"] = "waiting"
    ernest.start(half_done)
    assert ernest.sent == ["vpc::v", "network::n", "network::n"]


def test_rule_9_a_failed_change_in_it_ends_the_build_at_once(ernest: Ernest) -> None:
    ernest.start(build([change("a::1", _state="errored"), change("b::1")], "start>a::1 start>b::1"))
    assert (ernest.sent, ernest.ends) == ([], ["build.create.error"])


def test_what_has_no_effect_is_recorded_with_its_reason(ernest: Ernest) -> None:
    ernest.start(build(CHAIN, CHAIN_EDGES))
    ernest.answer("network::n")
    ernest.answer("nobody::1")
    ernest.answer("vpc::v", service="b9")
    reasons = [event.message for event in Event.objects.filter(name="component.report_ignored").order_by("pk")]
    assert len(reasons) == 3
    assert ernest.sent == ["vpc::v"]


def test_templates_are_kept_until_a_component_is_sent(ernest: Ernest) -> None:
    ernest.start(build(CHAIN, CHAIN_EDGES))
    assert Component.objects.get(component_id="network::n").document["vpc_id"].startswith("$(")
