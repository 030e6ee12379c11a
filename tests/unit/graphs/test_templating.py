"""Templates are whole strings; results are strings; what cannot be filled in is an error that names it."""

from typing import Any

import pytest

from graphs.core.templating import Needs, Unresolved, as_text, is_template, needs_of, resolve

MAPPING = {
    "id": "b1",
    "options": {
        "again": "$(id)",
        "self": "$(options.self)",
        "nul": None,
        "null": "null",
        "list": [1.0, {"b": 2, "a": 1}],
    },
    "components": [{"_component_id": "vpc::v", "aws_id": "vpc-1"}],
}


@pytest.mark.parametrize("text", ["$()", "x-$(id)", "$(id)-x", "$(id", "(id)", "", 7, None])
def test_only_a_whole_string_with_something_inside_is_a_template(text: Any) -> None:
    assert not is_template(text)
    assert resolve(text, MAPPING) == text


def test_templates_are_filled_in_at_every_depth_and_keys_are_not() -> None:
    value = {"$(id)": ["$(id)", {"deep": '$(components.#[_component_id="vpc::v"].aws_id)'}], "n": 1}
    assert resolve(value, MAPPING) == {"$(id)": ["b1", {"deep": "vpc-1"}], "n": 1}


def test_a_result_that_is_a_template_is_filled_in_again() -> None:
    assert resolve("$(options.again)", MAPPING) == "b1"


def test_a_template_that_leads_to_itself_is_an_error() -> None:
    with pytest.raises(Unresolved, match=r"\$\(options.self\) leads to template after template"):
        resolve("$(options.self)", MAPPING)


@pytest.mark.parametrize("path", ["options.nope", "options.nul", "options.null", "id) $(id"])
def test_what_finds_nothing_is_an_error_that_names_the_template(path: str) -> None:
    with pytest.raises(Unresolved) as caught:
        resolve({"deep": [f"$({path})"]}, MAPPING)
    assert f"$({path})" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (42, "42"),
        (1.5, "1.5"),
        (5.0, "5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (100, "100"),
        (9007199254740993, "9007199254740993"),
        (True, "true"),
        (["a", 2.0], '["a",2]'),
        ({"b": "é", "a": None}, '{"a":null,"b":"é"}'),
    ],
)
def test_results_are_strings_with_exact_numbers(value: Any, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("template", "needs"),
    [
        ('$(components.#[_component_id="vpc::v"].x)', Needs(frozenset({"vpc::v"}))),
        ("$(changes.#[_component_id=vpc::v].x)", Needs(frozenset({"vpc::v"}))),
        ("$(options.x)", Needs()),
        ("$( not of the dialect)", Needs()),
        ("$(components.0.x)", Needs(everything=True)),
        ("$(components.#)", Needs(everything=True)),
        ('$(components.#[_component="vpc"].x)', Needs(everything=True)),
        ('$(components.#[_component_id="vpc::v"]#.x)', Needs(everything=True)),
        ("$(comp*.0)", Needs(everything=True)),
        ("$(edges.0.source)", Needs(everything=True)),
        ("no template", Needs()),
    ],
)
def test_a_template_tells_which_components_it_reads(template: str, needs: Needs) -> None:
    assert needs_of({"a": [template]}) == needs
