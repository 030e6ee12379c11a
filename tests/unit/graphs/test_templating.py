"""Templates are whole strings; results are strings; what cannot be filled in is an error that names it."""

from typing import Any

import pytest

from graphs.core.templating import ERNEST, Needs, Unresolved, is_template, templating_of
from graphs.core.texts import as_text

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
    assert ERNEST.resolve(text, MAPPING) == text


def test_templates_are_filled_in_at_every_depth_and_keys_are_not() -> None:
    value = {"$(id)": ["$(id)", {"deep": '$(components.#[_component_id="vpc::v"].aws_id)'}], "n": 1}
    assert ERNEST.resolve(value, MAPPING) == {"$(id)": ["b1", {"deep": "vpc-1"}], "n": 1}


def test_a_result_that_is_a_template_is_filled_in_again() -> None:
    assert ERNEST.resolve("$(options.again)", MAPPING) == "b1"


def test_a_template_that_leads_to_itself_is_an_error() -> None:
    with pytest.raises(Unresolved, match=r"\$\(options.self\) leads to template after template"):
        ERNEST.resolve("$(options.self)", MAPPING)


@pytest.mark.parametrize("path", ["options.nope", "options.nul", "options.null", "id) $(id"])
def test_what_finds_nothing_is_an_error_that_names_the_template(path: str) -> None:
    with pytest.raises(Unresolved) as caught:
        ERNEST.resolve({"deep": [f"$({path})"]}, MAPPING)
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
    assert ERNEST.needs_of({"a": [template]}) == needs


EXTENDED = templating_of({"_templating": "extended"})
VALUES = {
    "n": 42,
    "f": 1.5,
    "yes": True,
    "empty": "",
    "nul": None,
    "list": ["a", {"b": 1}],
    "name": "web",
    "again": "$(name)",
    "self": "$(self)",
    "holds": "x $(name)",
    "deep": {"in": ["$(name)"]},
    "odd )": {"k": "v"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$(n)", 42),
        ("$(f)", 1.5),
        ("$(yes)", True),
        ("$(empty)", ""),
        ("$(list)", ["a", {"b": 1}]),
        ("$(list.1.b)", 1),
        ("http://$(name)/$(n)?a=$(yes)", "http://web/42?a=true"),
        ("$(name)$(n)", "web42"),
        ("[$(list)]", '[["a",{"b":1}]]'),
        ("$(nope ?? 7)", 7),
        ('$(nope ?? "7")', "7"),
        ("$(nope ?? plain text)", "plain text"),
        ("$(nope ?? NaN)", "NaN"),
        ("$(nope ?? )", ""),
        ('$(nope ?? ["a)", 1])', ["a)", 1]),
        ("$(nul ?? null)", None),
        ("$(n ?? 7)", 42),
        ("x$(nope ?? 7)x", "x7x"),
        ("$(again)", "web"),
        ("x$(again)", "xweb"),
        ("$(odd \\).k)", "v"),
        ("$(list.#[b=1].b)", 1),
    ],
)
def test_extended_templates_keep_types_stand_in_texts_and_have_defaults(text: str, value: Any) -> None:
    found = EXTENDED.resolve(text, VALUES)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["$(nope)", "x$(nope)", "$(nul)", "$(n", "$()", "$(self)", "$(holds)", "$(deep)"])
def test_extended_templates_that_cannot_be_filled_in_are_errors(text: str) -> None:
    with pytest.raises(Unresolved):
        EXTENDED.resolve([text], VALUES)


def test_two_dollars_stand_for_the_sign_itself_and_go_out_as_one() -> None:
    kept = EXTENDED.resolve({"a": ["echo $$(date) $(name)"], "n": 1}, VALUES)
    assert kept == {"a": ["echo $$(date) web"], "n": 1}
    assert EXTENDED.resolve(kept, VALUES) == kept
    assert EXTENDED.outgoing(kept) == {"a": ["echo $(date) web"], "n": 1}
    assert ERNEST.outgoing("$$(date)") == "$$(date)"


def test_what_cannot_be_filled_in_names_no_value() -> None:
    with pytest.raises(Unresolved) as caught:
        EXTENDED.resolve("$(holds)", VALUES | {"holds": "s3cret $(x)"})
    assert "s3cret" not in str(caught.value)


def test_a_mapping_has_ernests_templates_unless_it_says_otherwise() -> None:
    assert templating_of(None) is templating_of({"_templating": "ernest"}) is ERNEST


def test_a_template_of_ten_megabytes_is_no_path() -> None:
    with pytest.raises(Unresolved) as caught:
        ERNEST.resolve("$(" + "a." * 5_000_000 + ")", MAPPING)
    assert len(str(caught.value)) < 1000
    with pytest.raises(Unresolved):
        EXTENDED.resolve("$(" + "a." * 5_000_000 + ")", MAPPING)
