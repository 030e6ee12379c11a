"""Reads the edges of a mapping: what comes before what.

Invariant: edges that are read have known ends, the sentinels `start` and `end` in their own places only, and no two are
alike.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from graphs.core import words
from graphs.core.values import kind_of, shown, value_faults
from scheduler_project.toolkit.errors import Fault

KEYS = 3


class EdgeSpec(NamedTuple):
    """`source` is completed before `destination` starts; `start` and `end` are allowed for them."""

    source: str
    destination: str
    length: int = 1


def read_edges(
    items: Iterable[tuple[int, Mapping[str, Any]]], ids: Iterable[str], faults: list[Fault]
) -> tuple[EdgeSpec, ...]:
    """The edges between these ids, each once. What is wrong is added to `faults`, with its path."""
    known = {one: one for one in ids}
    sources = known | {words.START: words.START}
    destinations = known | {words.END: words.END}
    found: dict[tuple[str, str], EdgeSpec] = {}
    for index, item in items:
        source, destination, length = item.get("source"), item.get("destination"), item.get("length", 1)
        try:
            ends = sources[source], destinations[destination]  # type: ignore[index]  # what is no text is not found
        except (KeyError, TypeError):
            faults += _end_faults(item, known, f"edges[{index}]")
            ends = None
        if type(length) is not int or abs(length) > words.INT32_MAX:
            faults.append(Fault(f"edges[{index}].length", "must be a whole number of 32 bits"))
        elif ends and ends not in found:
            found[ends] = EdgeSpec(ends[0], ends[1], length)
        if len(item) > KEYS:
            faults += value_faults(item, f"edges[{index}]")
    return tuple(found.values())


def dependencies_in(edges: Iterable[EdgeSpec], changes: Iterable[str]) -> dict[str, set[str]]:
    """For each change the changes that it waits for."""
    found: dict[str, set[str]] = {change: set() for change in changes}
    for edge in edges:
        if edge.source in found and edge.destination in found:
            found[edge.destination].add(edge.source)
    return found


def unreached(edges: Iterable[EdgeSpec], changes: Sequence[str]) -> set[str]:
    """The changes that no edge leads to."""
    return set(changes).difference(edge.destination for edge in edges)


def circle_fault(cycle: Sequence[str]) -> Fault:
    """The fault of components that wait for each other."""
    return Fault("edges", "these wait for each other in a circle: " + " → ".join(shown(one) for one in cycle))


def _end_faults(item: Mapping[str, Any], known: Mapping[str, str], path: str) -> Iterator[Fault]:
    for key, forbidden, allowed in (
        ("source", words.END, words.START),
        ("destination", words.START, words.END),
    ):
        value = item.get(key)
        where = f"{path}.{key}"
        if value is None or value == "":
            yield Fault(where, "is missing")
        elif not isinstance(value, str):
            yield Fault(where, f"must be a string, not {kind_of(value)}")
        elif value == forbidden:
            yield Fault(where, f"{value!r} cannot be the {key} of an edge")
        elif value not in known and value != allowed:
            yield Fault(where, f"there is no component {shown(value)!r}")
