"""Each odd input that ernest ignores, hangs on or dies of: what becomes of it here, and that the next build runs."""

from collections.abc import Iterator
from typing import Any

import pytest

from graphs.models import Graph
from scheduler_project.models import Event
from tests.support.ernest import Ernest, build, change

pytestmark = pytest.mark.django_db
ONE = build([change("a::1")], "start>a::1")


@pytest.fixture(autouse=True)
def the_next_build_runs(ernest: Ernest) -> Iterator[None]:
    """Whatever came before."""
    yield
    ernest.start(build([change("after::1")], "start>after::1", id="after"))
    ernest.answer("after::1", service="after")
    assert Graph.objects.get(pk="after").state == "completed"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"3", b"\xff"])
def test_a_body_that_is_no_object_is_refused(ernest: Ernest, body: bytes) -> None:
    ernest.start(body)
    assert "" in ernest.refusal()


def test_null_is_refused(ernest: Ernest) -> None:
    ernest.start(b"null")
    assert "must be a JSON object" in ernest.refusal()[""]


@pytest.mark.parametrize("given", [{"id": ""}, {"id": None}])
def test_a_build_without_an_id_gets_one(ernest: Ernest, given: dict[str, Any]) -> None:
    ernest.start(ONE | given)
    graph_id = Graph.objects.get().pk
    assert graph_id
    assert ernest.last_sent()["service"] == graph_id


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"id": 7}, "id"),
        ({"options": []}, "options"),
        ({"edges": [{"source": "start", "destination": "a::1", "length": "1"}]}, "edges[0].length"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_and_kills_nobody(
    ernest: Ernest, fields: dict[str, Any], path: str
) -> None:
    ernest.start(ONE | fields)
    assert path in ernest.refusal()


@pytest.mark.parametrize("part", ["components", "changes"])
def test_an_element_that_is_no_object_is_refused_and_kills_nobody(ernest: Ernest, part: str) -> None:
    ernest.start(ONE | {part: [3]})
    assert ernest.refusal()[f"{part}[0]"] == "must be an object, not a number"


@pytest.mark.parametrize("key", ["_component_id", "_component", "_action", "_provider"])
def test_a_change_without_a_key_that_it_needs_is_refused_and_kills_nobody(ernest: Ernest, key: str) -> None:
    ernest.start(build([{name: value for name, value in change("a::1").items() if name != key}], ""))
    assert ernest.refusal()[f"changes[0].{key}"] == "is missing"


def test_a_change_without_a_state_waits(ernest: Ernest) -> None:
    ernest.start(ONE)
    assert ernest.sent == ["a::1"]


def test_a_reply_for_an_id_that_is_not_in_the_graph_is_recorded_and_stored_nowhere(ernest: Ernest) -> None:
    ernest.start(ONE)
    ernest.answer("b::1")
    assert "no component 'b::1'" in Event.objects.get(name="component.report_ignored").message
    ernest.answer("a::1")
    assert [one["_component_id"] for one in ernest.end()["components"]] == ["a::1"]


def test_a_reply_for_an_unknown_build_is_recorded_and_announces_nothing(ernest: Ernest) -> None:
    ernest.answer("a::1", service="nobody")
    assert Event.objects.get(name="component.report_ignored").message == "there is no such graph"
    assert ernest.server.subjects("*.done") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"_component_id": "a::1"}',
        b'{"_component_id": "a::1", "_state": "completed", "_action": "create"}',
        b'{"_component_id": "a::1", "service": 7}',
        b'{"_component_id": ["a::1"], "service": "b1"}',
    ],
)
def test_a_reply_that_lacks_something_is_ignored_and_kills_nobody(ernest: Ernest, body: bytes) -> None:
    ernest.start(ONE)
    ernest.publish("a.create.fake.done", body)
    assert Graph.objects.get().state == "running"


@pytest.mark.parametrize("missing", ["_state", "_action"])
def test_a_reply_without_state_or_verb_is_understood_by_its_subject(ernest: Ernest, missing: str) -> None:
    ernest.start(ONE)
    body = {"_component_id": "a::1", "service": "b1", "_state": "completed", "_action": "create"}
    ernest.publish("a.create.fake.done", {key: value for key, value in body.items() if key != missing})
    assert ernest.ends == ["build.create.done"]


def test_a_rogue_end_of_a_build_with_a_component_in_it_is_ignored(ernest: Ernest) -> None:
    ernest.start(ONE)
    ernest.publish("build.create.done", {"_component_id": "a::1"})
    assert Graph.objects.get().state == "running"


def test_a_find_that_brings_what_is_no_object_keeps_the_rest_and_tells_so(ernest: Ernest) -> None:
    ernest.start(build([change("xs::query", "find")], "start>xs::query"))
    ernest.answer("xs::query", _action="find", components=[3, {"_component_id": "x::1"}, None])
    assert [one["_component_id"] for one in ernest.end()["components"]] == ["x::1"]
    assert Event.objects.filter(name="component.found_ignored").count() == 2


def test_a_start_message_that_comes_twice_is_one_build(ernest: Ernest) -> None:
    for _ in range(2):
        ernest.start(ONE)
    assert ernest.sent == ["a::1"]


def test_a_start_message_with_the_same_id_and_another_mapping_is_refused(ernest: Ernest) -> None:
    ernest.start(ONE)
    ernest.start(build([change("a::2")], "start>a::2"))
    assert ernest.sent == ["a::1"]
    assert "made from another mapping" in ernest.server.bodies("build.create.error")[0]["error"]


@pytest.mark.parametrize("edges", ["start>a::1 b::1>c::1 c::1>b::1", "start>a::1 a::1>b::1 b::1>c::1 c::1>a::1"])
def test_a_circle_is_refused_and_printed(ernest: Ernest, edges: str) -> None:
    ernest.start(build([change("a::1"), change("b::1"), change("c::1")], edges))
    assert "b::1 → c::1" in ernest.refusal()["edges"]


def test_a_reply_for_what_was_never_sent_has_no_effect(ernest: Ernest) -> None:
    ernest.start(build([change("a::1"), change("b::1"), change("c::1")], "start>a::1 a::1>b::1 b::1>c::1"))
    ernest.answer("b::1")
    assert ernest.sent == ["a::1"]


@pytest.mark.parametrize("value", ["a b", "a.b", "a\r\nPUB x 1", "*", ">", "a\x00"])
@pytest.mark.parametrize("key", ["_component", "_action", "_provider"])
def test_words_that_would_break_a_subject_are_refused(ernest: Ernest, key: str, value: str) -> None:
    ernest.start(build([change("a::1") | {key: value}], "start>a::1"))
    assert f"changes[0].{key}" in ernest.refusal()


def test_a_provider_whose_template_finds_nothing_is_refused(ernest: Ernest) -> None:
    ernest.start(build([change("a::1", _provider="$(datacenters.items.0.type)")], "start>a::1"))
    assert "finds nothing" in ernest.refusal()["changes[0]._provider"]


def test_a_provider_whose_template_gives_what_would_break_a_subject_fails_its_component(ernest: Ernest) -> None:
    ernest.start(build([change("a::1", _provider="$(options.p)")], "start>a::1", options={"p": "x.y > z"}))
    assert ernest.sent == []
    assert "x.y" not in ernest.end()["changes"][0]["error"]
