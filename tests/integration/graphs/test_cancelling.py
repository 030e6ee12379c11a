"""Cancels that connectors on NATS are told of, and what the wish means for every other provider."""

import json
from datetime import timedelta
from typing import Any

import pytest

from graphs import store
from graphs.bridge.loop import PROGRESS_SUBJECTS, REPLY_SUBJECTS, capture
from graphs.core.advance import Report
from graphs.core.replies import Reply
from graphs.models import Component, Graph, Notice
from graphs.store.notices import AGAIN_AFTER_S
from graphs.testing import matches
from tests.integration.graphs.mappings import mapping
from tests.integration.graphs.test_bridge_on_loopback import NOW, Nats

CANCELS = "*.*.*.cancel"
pytestmark = pytest.mark.django_db


@pytest.fixture
def nats() -> Nats:
    nats = Nats()
    store.submit(mapping({"vpc::a": [], "net::a": ["vpc::a"]}), NOW, source="http")
    nats.work()
    return nats


def row(component_id: str = "vpc::a") -> Component:
    return Component.objects.changes().get(component_id=component_id)


def test_a_connector_is_told_which_attempt_is_not_wanted_any_more(nats: Nats) -> None:
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    nats.work()

    [told] = [message for message in nats.server.published if matches(CANCELS, message.subject)]
    assert told.subject == "vpc.create.demo.cancel"
    assert told.headers["Scheduler-Attempt"] == "1"
    assert json.loads(told.data) == {
        "_component": "vpc",
        "_component_id": "vpc::a",
        "_action": "create",
        "_provider": "demo",
        "service": "b1",
    }
    assert not Notice.objects.exists()


def test_what_becomes_of_a_component_is_told_by_its_reply_after_all(nats: Nats) -> None:
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    assert (row().state, Graph.objects.get().state) == ("running", "running")

    nats.reply("vpc.create.demo.done", "vpc::a")
    assert (row().state, row("net::a").state, Graph.objects.get().state) == ("completed", "cancelled", "cancelled")


def test_a_deadline_settles_what_a_told_connector_never_answers() -> None:
    nats = Nats()
    document = mapping({"vpc::a": []})
    document["changes"][0]["_timeout_s"] = 60
    store.submit(document, NOW, source="http")
    nats.work()
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()

    store.sweep(NOW + timedelta(seconds=61))
    assert (row().state, Graph.objects.get().state) == ("errored", "errored")


@pytest.mark.parametrize("told", [store.Told.NOBODY, store.Told.OURS])
def test_connectors_hear_nothing_unless_somebody_asks_for_it(nats: Nats, told: store.Told) -> None:
    store.cancel("b1", NOW, "ann", told)
    nats.work()
    assert nats.server.subjects(CANCELS) == []


def test_whoever_cancels_once_more_may_tell_them_then(nats: Nats) -> None:
    store.cancel("b1", NOW, "ann")
    assert store.cancel("b1", NOW, "ann", store.Told.EVERYBODY).state == "cancelled"
    nats.work()
    assert nats.server.subjects(CANCELS) == ["vpc.create.demo.cancel"]


def test_a_notice_outlives_an_outage_and_the_bridge_that_had_it(nats: Nats) -> None:
    nats.server.reachable = False
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    nats.server.reachable = True
    assert len(store.take_notices(NOW)) == 1  # a bridge that dies here

    _, other = nats.new_bridge()
    other.handle([])
    assert nats.server.subjects(CANCELS) == []
    nats.now += timedelta(seconds=AGAIN_AFTER_S)
    other.handle([])
    assert nats.server.subjects(CANCELS) == ["vpc.create.demo.cancel"]


def test_two_bridges_do_not_both_tell(nats: Nats) -> None:
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    assert (len(store.take_notices(NOW)), len(store.take_notices(NOW))) == (1, 0)


def test_what_was_answered_meanwhile_is_not_told(nats: Nats) -> None:
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    store.apply_replies([Reply("b1", Report("vpc::a", "completed"), {})], (), NOW)
    nats.work()
    assert (nats.server.subjects(CANCELS), Notice.objects.count()) == ([], 0)


def test_a_connector_is_told_only_once_the_component_has_been_sent() -> None:
    nats = Nats()
    store.submit(mapping({"vpc::a": []}), NOW, source="http")
    claimed = store.claim_any(["nats"], NOW)
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    assert nats.server.subjects(CANCELS) == []

    store.mark_sent(claimed.sends, NOW)
    nats.work()
    assert nats.server.subjects(CANCELS) == ["vpc.create.demo.cancel"]


def test_clean_ups_are_not_told_to_stop() -> None:
    nats = Nats()
    document = mapping({"vpc::a": []})
    document["changes"][0]["_rule"] = "always"
    store.submit(document, NOW, source="http")
    nats.work()
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    assert nats.server.subjects(CANCELS) == []


def test_no_bridge_and_no_stream_takes_a_cancel_for_a_reply() -> None:
    heard = (*REPLY_SUBJECTS, *PROGRESS_SUBJECTS, *capture().subjects)
    assert not any(matches(pattern, "vpc.done.demo.cancel") for pattern in heard)


def test_a_connector_is_not_told_again_by_a_second_cancel(nats: Nats) -> None:
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    assert nats.server.subjects(CANCELS) == ["vpc.create.demo.cancel"]


def test_a_cancel_of_a_resumed_graph_is_told_anew_for_its_attempt(nats: Nats) -> None:
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.reply("vpc.create.demo.error", "vpc::a", "errored")
    store.resume_graph("b1", NOW, "ann")
    nats.work()
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    told = [message.headers for message in nats.server.published if matches(CANCELS, message.subject)]
    assert [headers["Scheduler-Attempt"] for headers in told] == ["1", "2"]


def inside(**wishes: Any) -> str:
    """The id of a graph inside of the graph b1, with a component that runs on NATS."""
    document = mapping({"app::a": []})
    inner = mapping({"vm::a": []})
    del inner["id"]
    document["changes"][0] |= {"_provider": "graph", "mapping": inner} | wishes
    store.submit(document, NOW, source="http")
    store.sweep(NOW)
    return Graph.objects.get(source="graph").pk


@pytest.mark.django_db(transaction=True)
def test_the_wish_to_tell_goes_down_into_graphs_inside() -> None:
    nats = Nats()
    child = inside()
    nats.work()
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)
    nats.work()
    assert [one["service"] for one in nats.server.bodies("vm.create.demo.cancel")] == [child]


def test_the_wish_goes_down_also_where_the_process_died_before_it_could_say_so() -> None:
    nats = Nats()
    child = inside()
    nats.work()
    store.cancel("b1", NOW, "ann", store.Told.EVERYBODY)  # what is to be done after the commit is not, here
    store.sweep(NOW)
    nats.work()
    assert [one["service"] for one in nats.server.bodies("vm.create.demo.cancel")] == [child]


def test_cancelled_in_silence_a_graph_inside_runs_to_its_end() -> None:
    nats = Nats()
    child = inside()
    nats.work()
    store.cancel("b1", NOW, "ann", store.Told.NOBODY)
    store.sweep(NOW)
    assert Graph.objects.get(pk=child).cancel_requested_at is None

    nats.reply("vm.create.demo.done", "vm::a", service=child)
    store.sweep(NOW)
    assert (Graph.objects.get(pk=child).state, row("app::a").state) == ("completed", "completed")
