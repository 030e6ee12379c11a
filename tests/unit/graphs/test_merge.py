"""What replies do to documents, and what completed changes do to what exists."""

from typing import Any

import pytest

from graphs.core.merge import answered, effects, merged, touched_ids

DOCUMENT = {"_component": "vpc", "_component_id": "v", "_action": "create", "_provider": "aws", "tags": {"a": 1}}


@pytest.mark.parametrize(
    ("base", "news", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
    ],
)
def test_objects_are_merged_and_other_values_replaced(base: Any, news: Any, result: Any) -> None:
    assert merged(base, news) == result


def test_a_reply_cannot_change_what_a_component_is() -> None:
    reply = {"_action": "delete", "_component_id": "x", "_provider": "y", "service": "z", "_state": "q", "new": 1}
    assert answered(DOCUMENT, reply, "b1", "completed") == DOCUMENT | {
        "service": "b1",
        "_state": "completed",
        "new": 1,
    }


@pytest.mark.parametrize("verb", ["create", "update", "get"])
def test_what_was_made_or_read_exists_with_all_that_was_known(verb: str) -> None:
    assert effects(verb, "v", {"tags": {"b": 2}}, {"v": DOCUMENT}).kept["v"]["tags"] == {"a": 1, "b": 2}
    assert effects(verb, "v", DOCUMENT, {}).kept == {"v": DOCUMENT}
    assert touched_ids(verb, "v", DOCUMENT) == {"v"}


def test_what_was_deleted_exists_no_more() -> None:
    assert effects("delete", "v", DOCUMENT, {"v": DOCUMENT}).removed == {"v"}


def test_a_find_adds_what_it_found_to_the_graph() -> None:
    found = {"service": "b1", "components": [{"_component_id": "v", "x": 1}, 3, {"_component_id": ""}]}
    result = effects("find", "query", found, {"v": {"y": 2}})
    assert result.kept == {"v": {"y": 2, "_component_id": "v", "x": 1, "service": "b1"}}
    assert len(result.refused) == 2
    assert touched_ids("find", "query", found) == {"v"}


def test_a_find_without_a_list_finds_nothing() -> None:
    assert effects("find", "query", {"components": "x"}, {}).kept == {}


def test_other_verbs_change_nothing_but_themselves() -> None:
    assert effects("power", "v", DOCUMENT, {}).kept == {}
    assert touched_ids("power", "v", DOCUMENT) == set()
