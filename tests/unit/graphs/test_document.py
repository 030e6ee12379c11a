"""A mapping is refused before it runs, with every fault at once, each with its path."""

from typing import Any

import pytest

from graphs.core.document import parse
from graphs.core.values import digest, parse_json
from scheduler_project.toolkit.errors import Fault, InvalidDocument


def change(component_id: str, **fields: Any) -> dict[str, Any]:
    return {"_component": "vpc", "_component_id": component_id, "_action": "create", "_provider": "aws"} | fields


def edge(source: Any, destination: Any, **fields: Any) -> dict[str, Any]:
    return {"source": source, "destination": destination} | fields


def mapping(**fields: Any) -> dict[str, Any]:
    return {"id": "b1", "changes": [change("a")], "edges": [edge("start", "a")]} | fields


def faults(document: Any) -> dict[str, str]:
    with pytest.raises(InvalidDocument) as caught:
        parse(document, "new")
    return {fault.path: fault.message for fault in caught.value.faults}


def test_a_valid_mapping_keeps_every_key() -> None:
    spec = parse(
        mapping(user_id=2**62 + 1, username="ann", options={"a": 1}, changelog=[1], action="build.delete"), "new"
    )
    assert (spec.id, spec.user_id, spec.username, spec.action) == ("b1", 2**62 + 1, "ann", "build.delete")
    assert (spec.options, spec.extra) == ({"a": 1}, {"changelog": [1]})


@pytest.mark.parametrize("given", [None, ""])
def test_a_mapping_without_id_gets_the_new_one(given: Any) -> None:
    assert parse(mapping(id=given), "new").id == "new"


def test_the_action_may_be_left_out_or_have_its_old_name() -> None:
    assert parse(mapping(), "new").action == "build.create"
    assert parse(mapping(action="service.delete"), "new").action == "build.delete"


def test_lists_may_be_left_out_or_null() -> None:
    spec = parse({"changes": None, "components": None, "edges": None, "name": None}, "new")
    assert (spec.changes, spec.components, spec.edges, spec.name) == ((), (), (), "")


def test_an_edge_given_twice_counts_once() -> None:
    assert len(parse(mapping(edges=[edge("start", "a"), edge("start", "a", length=3)]), "new").edges) == 1


@pytest.mark.parametrize(
    ("document", "kind"), [(None, "null"), ([], "a list"), ("x", "a string"), (3, "a number"), (True, "a boolean")]
)
def test_what_is_no_object_is_refused(document: Any, kind: str) -> None:
    assert faults(document) == {"": f"the mapping must be a JSON object, not {kind}"}


@pytest.mark.parametrize(
    ("fields", "path", "part_of_message"),
    [
        ({"id": 7}, "id", "must be a string, not a number"),
        ({"id": "a/b"}, "id", "slashes"),
        ({"id": "x" * 241}, "id", "longer than 240"),
        ({"name": ["x"]}, "name", "must be a string"),
        ({"name": "x" * 256}, "name", "longer than 255"),
        ({"username": 1}, "username", "must be a string"),
        ({"user_id": "1"}, "user_id", "must be a whole number"),
        ({"user_id": True}, "user_id", "not a boolean"),
        ({"user_id": 2**63}, "user_id", "64 bits"),
        ({"options": []}, "options", "must be an object or null, not a list"),
        ({"action": "build.explode"}, "action", "none of build.create"),
        ({"action": 7}, "action", "none of build.create"),
        ({"changes": {}}, "changes", "must be a list, not an object"),
        ({"components": [3]}, "components[0]", "must be an object, not a number"),
        ({"components": [{}]}, "components[0]._component_id", "is missing"),
        ({"edges": [None]}, "edges[0]", "must be an object, not null"),
        ({"edges": [edge("start", "a"), {}]}, "edges[1].source", "is missing"),
        ({"edges": [edge("start", "a"), edge("a", 3)]}, "edges[1].destination", "must be a string"),
        ({"edges": [edge("start", "a", length="1")]}, "edges[0].length", "whole number"),
        ({"edges": [edge("start", "a"), edge("end", "a")]}, "edges[1].source", "'end' cannot be the source"),
        ({"edges": [edge("start", "a"), edge("a", "start")]}, "edges[1].destination", "'start' cannot be"),
        ({"edges": [edge("start", "a"), edge("b", "a")]}, "edges[1].source", "there is no component 'b'"),
        ({"edges": []}, "changes[0]", "nothing leads to 'a'"),
        ({"extra": {"deep": "\x00"}}, "extra.deep", "NUL"),
        ({"extra": ["\ud800"]}, "extra[0]", "surrogate"),
        ({"extra": float("inf")}, "extra", "beyond the range"),
        ({"extra": {1: 2}}, "extra", "is not a string"),
        ({"extra": object()}, "extra", "object is not a JSON type"),
    ],
)
def test_a_fault_has_its_path(fields: dict[str, Any], path: str, part_of_message: str) -> None:
    assert part_of_message in faults(mapping(**fields))[path]


@pytest.mark.parametrize(
    ("fields", "path", "part_of_message"),
    [
        ({"_component_id": None}, "_component_id", "is missing"),
        ({"_component_id": 3}, "_component_id", "must be a string"),
        ({"_component_id": "x" * 241}, "_component_id", "longer than"),
        ({"_component_id": "start"}, "_component_id", "reserved"),
        ({"_component": ""}, "_component", "is missing"),
        ({"_provider": None}, "_provider", "is missing"),
        ({"_action": 3}, "_action", "must be a string, not a number"),
        ({"_component": "a b"}, "_component", "would break a subject"),
        ({"_component": "a.b"}, "_component", "would break a subject"),
        ({"_action": "*"}, "_action", "would break a subject"),
        ({"_provider": ">"}, "_provider", "would break a subject"),
        ({"_provider": "a\r\nPUB x 0"}, "_provider", "would break a subject"),
        ({"_component": "x" * 101}, "_component", "longer than 100"),
        ({"_state": "dreaming"}, "_state", "none of waiting, running"),
        ({"_state": 3}, "_state", "none of waiting, running"),
        ({"text": "\x00"}, "text", "NUL"),
        ({"_timeout_s": 0}, "_timeout_s", "above 0"),
        ({"_timeout_s": "5"}, "_timeout_s", "above 0"),
        ({"_attempts": 0}, "_attempts", "from 1 to 1000"),
        ({"_attempts": True}, "_attempts", "from 1 to 1000"),
        ({"_attempts": 1.5}, "_attempts", "from 1 to 1000"),
    ],
)
def test_a_change_that_could_not_be_sent_is_refused(fields: dict[str, Any], path: str, part_of_message: str) -> None:
    document = mapping(changes=[change("b"), change("a") | fields], edges=[edge("start", "b"), edge("start", "a")])
    assert part_of_message in faults(document)[f"changes[1].{path}"]


def test_a_template_may_stand_for_a_part_of_the_subject() -> None:
    items = {"items": [{"type": "aws"}]}
    spec = parse(mapping(changes=[change("a", _provider="$(datacenters.items.0.type)")], datacenters=items), "new")
    assert spec.changes[0].provider == "$(datacenters.items.0.type)"


def test_an_id_given_twice_names_the_first() -> None:
    found = faults(mapping(changes=[change("a"), change("a")]))
    assert found == {"changes[1]._component_id": "'a' is also the id of changes[0]"}


def test_an_id_may_stand_in_both_lists() -> None:
    assert parse(mapping(components=[change("a")]), "new").components[0].component_id == "a"


def test_a_circle_is_printed_in_the_order_of_running() -> None:
    ids = ["a", "b", "c", "d"]
    edges = [edge("start", "a"), edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("c", "d")]
    found = faults(mapping(changes=[change(one) for one in ids], edges=edges))
    assert found == {"edges": "these wait for each other in a circle: a → b → c → a"}


def test_a_component_that_waits_for_itself_is_a_circle() -> None:
    assert "a → a" in faults(mapping(edges=[edge("start", "a"), edge("a", "a")]))["edges"]


def test_what_follows_something_that_exists_is_reached() -> None:
    spec = parse(mapping(components=[change("old")], edges=[edge("old", "a")]), "new")
    assert spec.dependencies == {"a": set()}


def test_all_faults_are_told_at_once() -> None:
    document = mapping(id=1, changes=[change("a", _action="")], edges=[edge("start", "x")], user_id=[])
    assert set(faults(document)) == {"id", "changes[0]._action", "edges[0].destination", "user_id", "changes[0]"}


def test_faults_of_the_provider_are_told_too() -> None:
    with pytest.raises(InvalidDocument, match=r"changes\[0\]\.argv: no"):
        parse(mapping(), "new", lambda provider, document, path: [Fault(f"{path}.argv", "no")])


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b'{"a": -Infinity}', b"[" * 200_000, b"1" * 5000]
)
def test_what_is_not_json_is_an_invalid_document(text: bytes) -> None:
    with pytest.raises(InvalidDocument):
        parse_json(text)


def test_a_mapping_nested_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(65):
        deep = [deep]
    assert faults(mapping(extra=deep)) == {"": "nested deeper than 64 levels"}


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
