"""What the event log of a graph must be, whatever happened while it ran."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from graphs.core.states import COMPONENT, GRAPH

Event = tuple[str, Mapping[str, Any]]
MOVES = {f"component.{state}" for state in COMPONENT.states} | {f"graph.{state}" for state in GRAPH.final}


def assert_log_is_whole(events: Sequence[Event], mapping: Mapping[str, Any]) -> None:
    """Numbered from 1 without gaps, one end, legal moves alone, and nothing starts before what it waits for is done.

    `events` are names with their data, in the order in which they were written.
    """
    assert [data["number"] for _, data in events] == list(range(1, len(events) + 1))
    assert Counter(name for name, _ in events if name.removeprefix("graph.") in GRAPH.final) == {"graph.completed": 1}
    needed = dependencies(mapping)
    states = {change["_component_id"]: "waiting" for change in mapping["changes"]}
    attempts: Counter[str] = Counter()
    moves = [(name, data) for name, data in events if name in MOVES]
    assert moves[-1][0] == "graph.completed"
    for _, data in moves[:-1]:
        component, state = data["component"], data["state"]
        assert COMPONENT.allows(states[component], state), (component, states[component], data)
        if state == "running":
            assert all(states[one] == "completed" for one in needed.get(component, ())), data
            attempts[component] += 1
            assert data["attempt"] == attempts[component]
        states[component] = state
    assert set(states.values()) == {"completed"}


def dependencies(mapping: Mapping[str, Any]) -> dict[str, list[str]]:
    """For each change what it waits for."""
    needed: dict[str, list[str]] = {}
    for edge in mapping["edges"]:
        if edge["source"] != "start":
            needed.setdefault(edge["destination"], []).append(edge["source"])
    return needed
