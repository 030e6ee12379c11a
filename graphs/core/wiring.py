"""Turns who needs whom into the edges of a graph, between `start` and `end`; members of a group in a row.

Invariant: every edge, also those that line up a group, goes forward in one order of what really is needed, so wiring
makes no circle; a circle in what is needed is refused. Work grows with nodes and needs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

from graphs.core.edges import EdgeSpec, circle_fault
from graphs.core.order import find_cycles, levels
from graphs.core.words import END, START
from scheduler_project.toolkit.errors import InvalidDocument


@dataclass(frozen=True)
class Wiring:
    """`names` in the order of the document, `needs` as (before, after), and `rows` of names to be done one by one."""

    names: Sequence[str]
    needs: Sequence[tuple[str, str]]
    rows: Sequence[Iterable[str]] = field(default=())

    def edges(self) -> list[EdgeSpec]:
        """The edges, `start` and `end` included. Raises InvalidDocument where there is a circle, printing it."""
        rank = self._ranks()
        lined_up = [
            pair for row in self.rows for pair in pairwise(sorted(dict.fromkeys(row), key=lambda name: rank[name]))
        ]
        before: dict[str, list[str]] = {}
        for one, following in lined_up:
            before.setdefault(following, []).append(one)
        needed = set(self.needs)
        kept = [
            (source, target)
            for source, target in self.needs
            if not any((source, other) in needed for other in before.get(target, ()))
        ]
        return [EdgeSpec(*pair) for pair in self._with_ends(list(dict.fromkeys([*kept, *lined_up])))]

    def _ranks(self) -> dict[str, int]:
        needs: dict[str, set[str]] = {name: set() for name in self.names}
        for source, target in self.needs:
            needs[target].add(source)
        order = levels(needs)
        cycles = find_cycles(needs, order)
        if cycles:
            raise InvalidDocument([circle_fault(cycle) for cycle in cycles])
        return {name: rank for rank, name in enumerate(chain.from_iterable(order))}

    def _with_ends(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        sources, targets = {source for source, _ in pairs}, {target for _, target in pairs}
        for name in self.names:
            if name not in targets:
                pairs.append((START, name))
            if name not in sources:
                pairs.append((name, END))
        return pairs


def rows_of(keys: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Names by the keys that they share; a name alone is no row."""
    rows: dict[str, list[str]] = {}
    for name, own in keys.items():
        for key in own:
            rows.setdefault(key, []).append(name)
    return [row for row in rows.values() if len(row) > 1]
