"""What a mapping would do, and how it is drawn."""

import re
import shutil
import subprocess
from typing import Any

import pytest

from graphs.core.document import GraphSpec, parse
from graphs.core.dot import Node, coloured, dot
from graphs.core.order import find_cycle, levels
from graphs.core.plan import CriticalPath, plan


def change(component_id: str, verb: str, **fields: Any) -> dict[str, Any]:
    return {"_component": "x", "_component_id": component_id, "_action": verb, "_provider": "aws"} | fields


def spec_of(changes: list[dict[str, Any]], edges: str) -> GraphSpec:
    """Edges as `a>b b>c`."""
    pairs = [edge.split(">") for edge in edges.split()]
    listed = [{"source": source, "destination": destination} for source, destination in pairs]
    return parse({"changes": changes, "edges": listed}, "new")


def test_a_plan_counts_verbs_and_tells_levels_without_what_is_completed() -> None:
    changes = [
        change("old", "create", _state="completed"),
        change("a", "create"),
        change("b", "delete", _state="running"),
        change("c", "create"),
    ]
    told = plan(spec_of(changes, "start>old old>a start>b a>c b>c c>end"))
    assert told.counts_by_verb == {"create": 2, "delete": 1}
    assert told.levels == (("b",), ("a",), ("c",))
    assert (told.done, told.in_flight) == (1, 1)


DIAMOND = "start>a start>b a>c c>d b>d start>e e>f"


def diamond() -> GraphSpec:
    return spec_of([change(one, "create", _component=one) for one in "abcdef"], DIAMOND)


def test_the_critical_path_is_the_chain_of_most_components_where_nothing_ran_before() -> None:
    assert plan(diamond()).critical_path == CriticalPath(("a", "c", "d"), None)


def test_the_critical_path_is_the_slowest_chain_by_what_such_changes_took() -> None:
    took_s = {("aws", "e", "create"): 30.0, ("aws", "f", "create"): 1.0, ("aws", "a", "create"): 2.0}
    assert plan(diamond(), took_s).critical_path == CriticalPath(("e", "f"), 31.0)


def test_a_kind_that_never_ran_counts_as_the_middle_one() -> None:
    took_s = {("aws", one, "create"): 5.0 for one in "abce"} | {("aws", "f", "create"): 11.0}
    assert plan(diamond(), took_s).critical_path == CriticalPath(("e", "f"), 16.0)
    assert plan(diamond(), took_s | {("aws", "f", "create"): 5.0}).critical_path == CriticalPath(("a", "c", "d"), 15.0)


def test_nothing_to_do_has_no_critical_path() -> None:
    assert plan(spec_of([], "")).critical_path == CriticalPath((), None)


def test_a_chain_of_a_hundred_thousand_has_as_many_levels() -> None:
    chain = {str(n): {str(n - 1)} if n else set() for n in range(100_000)}
    assert len(levels(chain)) == 100_000
    assert find_cycle(chain) == []


def test_edges_are_drawn_with_the_verb_of_their_destination() -> None:
    assert dot([("a", "b", "create"), ("start", "a", "create"), ("b", "end", "")]) == (
        'digraph G {\n  "a" -> "b" [label="create"]\n  "start" -> "a" [label="create"]\n  "b" -> "end"\n}'
    )


def test_ids_cannot_break_out_of_the_drawing() -> None:
    assert '"a\\"\\\\b"' in dot([('a"\\b', "c\nd", "")])


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|->|[A-Za-z_]+|[{}\[\]=]|\s+')


def tokens_of(text: str) -> list[str]:
    """The tokens of Graphviz' grammar that these drawings use; fails where something else stands in the text."""
    found, place = [], 0
    while place < len(text):
        match = TOKEN.match(text, place)
        assert match is not None, text[place : place + 20]
        found.append(match.group())
        place = match.end()
    return [token for token in found if token.strip()]


@pytest.mark.parametrize("name", ['a"b', "a\\", 'a\\"', "line\nend", "]; x -> y", "ü € \N{SNOWMAN}", "nul\0byte", ""])
def test_every_id_and_reason_is_one_quoted_word(name: str) -> None:
    drawn = coloured([Node(name, "errored", name), Node("end")], [(name, "end", name)])

    tokens = tokens_of(drawn)

    assert [token for token in tokens if token in ("->", "{", "}")] == ["{", "->", "}"]
    assert tokens.count("[") == tokens.count("]") == 4 - (not name)


def test_a_coloured_drawing_tells_each_state_by_colour_and_word() -> None:
    drawn = coloured([Node("a", "completed"), Node("b", "skipped")], [("a", "b", "create")])

    assert '  "a" [label="a\\ncompleted" fillcolor="#c9efd5" color="#14703a"]' in drawn
    assert 'style="filled,rounded,dashed"' in drawn
    assert drawn.endswith('  "a" -> "b" [label="create"]\n}')


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed; install the package graphviz")
def test_graphviz_draws_it() -> None:
    drawn = coloured([Node('a"\\', "errored", "why\nnot")], [('a"\\', "b]", "create")])
    subprocess.run(["dot", "-Tsvg"], input=drawn.encode(), check=True, capture_output=True, timeout=30)
