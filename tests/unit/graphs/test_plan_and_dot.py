"""What a mapping would do, and how it is drawn."""

from typing import Any

from graphs.core.document import parse
from graphs.core.dot import dot
from graphs.core.order import find_cycle, levels
from graphs.core.plan import plan


def change(component_id: str, verb: str, **fields: Any) -> dict[str, Any]:
    return {"_component": "x", "_component_id": component_id, "_action": verb, "_provider": "aws"} | fields


def test_a_plan_counts_verbs_and_tells_levels_without_what_is_completed() -> None:
    edges = [("start", "old"), ("old", "a"), ("start", "b"), ("a", "c"), ("b", "c"), ("c", "end")]
    spec = parse(
        {
            "changes": [
                change("old", "create", _state="completed"),
                change("a", "create"),
                change("b", "delete"),
                change("c", "create"),
            ],
            "edges": [{"source": source, "destination": destination} for source, destination in edges],
        },
        "new",
    )
    assert plan(spec).counts_by_verb == {"create": 2, "delete": 1}
    assert plan(spec).levels == (("b",), ("a",), ("c",))


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
