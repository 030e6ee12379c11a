"""Paths find what gjson 1.0.6 finds: the table of observed results, and the dialect's edges."""

from typing import Any

import pytest

from graphs.core.gjson import MISSING, read
from graphs.core.texts import as_text

DOCUMENT: dict[str, Any] = {
    "id": "b1",
    "action": "build.create",
    "options": {"k": "v"},
    "components": [
        {
            "_component": "vpc",
            "_component_id": "vpc::v.x",
            "n": 42,
            "f": 1.5,
            "t": True,
            "fa": False,
            "nul": None,
            "emp": "",
            "zero": 0,
            "lst": ["a", "b"],
            "objs": [{"k": 1}, {"k": 2}],
            "o": {"a.b": "dot", "c": "d"},
        },
        {"_component": "vpc", "_component_id": "vpc::w", "n": 43, "lst": []},
        {"_component": "net", "_component_id": "net::1"},
    ],
}
V = 'components.#[_component_id="vpc::v.x"]'
NOT_FOUND = None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{V}.n", "42"),
        ('components.#[_component_id=="vpc::v.x"].n', "42"),
        ('components.#[ _component_id = "vpc::v.x" ].n', "42"),
        ("components.#[_component_id=vpc::w].n", "43"),
        ("components.#[_component_id='vpc::w'].n", NOT_FOUND),
        ('components.#(_component_id="vpc::w").n', NOT_FOUND),
        ("components|0|n", NOT_FOUND),
        ("components.@reverse", NOT_FOUND),
        ("components.-1.n", NOT_FOUND),
        (f"{V}.lst", '["a","b"]'),
        (f"{V}.lst.0", "a"),
        (f"{V}.lst.#", "2"),
        (f"{V}.lst.9", NOT_FOUND),
        (f"{V}.objs.#.k", "[1,2]"),
        (f"{V}.o.a\\.b", "dot"),
        (f"{V}.zero", "0"),
        (f"{V}.fa", "false"),
        (f"{V}.t", "true"),
        (f"{V}.f", "1.5"),
        (f"{V}.nul", ""),
        (f"{V}.emp", ""),
        ('components.#[_component="vpc"].n', "42"),
        ('components.#[_component="vpc"]#.n', "[42,43]"),
        ('components.#[_component="nope"]#.n', NOT_FOUND),
        ("components.#[n>42].n", "43"),
        ("components.#[n>=42]#.n", "[42,43]"),
        ('components.#[_component!="vpc"]._component_id', "net::1"),
        ('components.#[_component_id%"vpc*"]#.n', "[42,43]"),
        ('components.#[o.c="d"].n', "42"),
        ("components.#[fa=false].n", "42"),
        ("components.#[lst.#=2].n", "42"),
        ("components.#[nul=null].n", NOT_FOUND),
        ("components.#", "3"),
        ("components.#.n", "[42,43]"),
        ("components.0.n", "42"),
        ("ac?ion", "build.create"),
        ("opt*", '{"k":"v"}'),
        ("options.k", "v"),
        (" id", NOT_FOUND),
        ("id ", NOT_FOUND),
        ("", NOT_FOUND),
        ("id.deeper", NOT_FOUND),
        ("options.#", NOT_FOUND),
        ("options.#[k=v]", NOT_FOUND),
        ("components.#[n<43].n", "42"),
        ("components.#[n<=42]#.n", "[42]"),
        ("components.#[t>false].n", "42"),
        ("components.#[no operator].n", NOT_FOUND),
        ("components.#[n=42", NOT_FOUND),
        ('components.#[_component_id%"vpc::?"].n', "43"),
        ("components.99999999999999999999", NOT_FOUND),
        (f'{V}.lst.#[="b"]', "b"),
        ("components.#[n=many].n", NOT_FOUND),
    ],
)
def test_a_path_finds(path: str, expected: str | None) -> None:
    found = read(DOCUMENT, path)
    assert (NOT_FOUND if found is MISSING else as_text(found)) == expected


def test_a_wildcard_takes_the_first_key_of_the_document_and_the_least_key_inside() -> None:
    assert read({"b1": 1, "b0": 2, "o": {"b1": 3, "b0": 4}}, "b*") == 1
    assert read({"o": {"b1": 3, "b0": 4}}, "o.b*") == 4


def test_a_list_can_be_the_document() -> None:
    assert read([{"a": 1}], "#.a") == [1]
