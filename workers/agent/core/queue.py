"""The commands that wait for a slot on this host.

Invariant: the one with the highest priority leaves first, and among equals the one that came first.
"""

import heapq
from collections.abc import Collection

from workers.protocol import RunCommand


class Queue:
    """Finding the next one costs the same however many wait."""

    def __init__(self) -> None:
        self._orders: dict[str, tuple[int, RunCommand]] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, order: RunCommand) -> None:
        """A newer attempt takes the place of an older one that still waits."""
        self._arrivals += 1
        self._orders[order.unit] = (self._arrivals, order)
        heapq.heappush(self._heap, (-order.priority, self._arrivals, order.unit))

    def remove(self, unit: str) -> RunCommand | None:
        """Takes out a unit that waits; None where it does not."""
        found = self._orders.pop(unit, None)
        return None if found is None else found[1]

    def next(self, busy: Collection[str]) -> RunCommand | None:
        """Takes out the next one of which no older attempt still runs (`busy` are the units that do)."""
        passed_over = []
        chosen = None
        while self._heap and chosen is None:
            entry = heapq.heappop(self._heap)
            arrival, order = self._orders.get(entry[2], (0, None))
            if arrival != entry[1]:
                continue
            if entry[2] in busy:
                passed_over.append(entry)
            else:
                chosen = order
                del self._orders[entry[2]]
        for entry in passed_over:
            heapq.heappush(self._heap, entry)
        return chosen
