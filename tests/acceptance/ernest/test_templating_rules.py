"""What a template may be, what it gives and what becomes of one that gives nothing, as connectors see it.

The table of paths and their results is `tests/unit/graphs/test_gjson.py`.
"""

from typing import Any

import pytest

from tests.support.ernest import Ernest, build, change

pytestmark = pytest.mark.django_db
VALUES = {"n": 42, "f": 1.5, "t": True, "list": ["a", "b"], "o": {"k": 1}, "big": 1e21, "again": "$(options.n)"}


def sent_with(ernest: Ernest, value: Any, **top: Any) -> Any:
    """What a connector gets where the mapping says `value`."""
    ernest.start(build([change("a::1", value=value)], "start>a::1", **({"options": VALUES} | top)))
    return ernest.last_sent()["value"]


@pytest.mark.parametrize("text", ["x-$(options.n)", "$()", "$(options.n", "(options.n)"])
def test_only_a_whole_string_is_a_template(ernest: Ernest, text: str) -> None:
    assert sent_with(ernest, text) == text


def test_two_templates_in_one_string_are_one_odd_path_and_refused(ernest: Ernest) -> None:
    ernest.start(build([change("a::1", value="$(id) $(name)")], "start>a::1"))
    assert "finds nothing" in ernest.refusal()["changes[0].value"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("n", "42"),
        ("f", "1.5"),
        ("t", "true"),
        ("list", '["a","b"]'),
        ("o", '{"k":1}'),
        ("big", "1000000000000000000000"),
        ("again", "42"),
    ],
)
def test_a_result_is_always_a_string(ernest: Ernest, path: str, text: str) -> None:
    assert sent_with(ernest, f"$(options.{path})") == text


def test_templates_are_filled_in_at_every_depth_but_not_in_keys(ernest: Ernest) -> None:
    value = {"$(id)": [{"deep": ["$(options.n)"]}]}
    assert sent_with(ernest, value) == {"$(id)": [{"deep": ["42"]}]}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("id", "b1"),
        ("name", "shop"),
        ("username", "ann"),
        ("user_id", "7"),
        ("action", "build.create"),
        ("changes.#[_component_id=a::1]._provider", "fake"),
        ("edges.#", "1"),
        ("datacenters.items.0.type", "aws"),
    ],
)
def test_every_field_of_the_mapping_can_be_read(ernest: Ernest, path: str, text: str) -> None:
    top = {"name": "shop", "username": "ann", "user_id": 7, "datacenters": {"items": [{"type": "aws"}]}}
    assert sent_with(ernest, f"$({path})", **top) == text


def test_the_subject_is_made_of_what_templates_give(ernest: Ernest) -> None:
    words = {"_component": "$(options.c)", "_action": "$(options.v)", "_provider": "$(options.p)"}
    ernest.start(build([change("a::1") | words], "start>a::1", options={"c": "vpc", "v": "create", "p": "fake"}))
    assert ernest.server.subjects("*.*.fake") == ["vpc.create.fake"]


@pytest.mark.parametrize("given", [None, "", "null", "$(options.value)"])
def test_what_gives_nothing_or_itself_is_refused_and_never_sent(ernest: Ernest, given: Any) -> None:
    ernest.start(build([change("a::1", value="$(options.value)")], "start>a::1", options={"value": given}))
    assert "changes[0].value" in ernest.refusal()


def test_what_a_connector_did_not_bring_back_is_an_error_and_never_sent(ernest: Ernest) -> None:
    reads = '$(components.#[_component_id="a::1"].aws_id)'
    ernest.start(build([change("a::1"), change("b::1", value=reads)], "start>a::1 a::1>b::1"))
    ernest.answer("a::1")
    assert ernest.sent == ["a::1"]
    assert reads in ernest.end()["changes"][1]["error"]


def test_what_a_connector_brought_back_is_there_for_those_after_it(ernest: Ernest) -> None:
    reads = '$(components.#[_component_id="a::1"].aws_id)'
    ernest.start(build([change("a::1"), change("b::1", value=reads)], "start>a::1 a::1>b::1"))
    ernest.answer("a::1", aws_id=9007199254740993)
    assert ernest.last_sent()["value"] == "9007199254740993"


def test_extended_templates_keep_types_stand_in_texts_and_have_defaults(ernest: Ernest) -> None:
    value = {"n": "$(options.n)", "url": "http://$(options.host ?? example.org)/$(options.n)", "cost": "$$(x)"}
    got = sent_with(ernest, value, options={"_templating": "extended", "n": 42})
    assert got == {"n": 42, "url": "http://example.org/42", "cost": "$(x)"}
