"""The ports that a host offers to tasks, written `31000-31999,32100`."""

from collections.abc import Iterator
from dataclasses import dataclass

PORT_MAX = 65535


@dataclass(frozen=True)
class PortPool:
    """Ranges of port numbers, both ends included, in ascending order and without overlap."""

    ranges: tuple[tuple[int, int], ...] = ()

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and any(first <= number <= last for first, last in self.ranges)


def parse_pool(text: str) -> PortPool:
    """The pool that a host declares. Parts that are no range of ports offer nothing."""
    ranges: list[tuple[int, int]] = []
    for low, high in sorted(found for part in text.split(",") if (found := parse_range(part))):
        first = max(low, ranges[-1][1] + 1) if ranges else low
        if first <= high:
            ranges.append((first, high))
    return PortPool(tuple(ranges))


def parse_range(part: str) -> tuple[int, int] | None:
    first, _, last = part.strip().partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        return None
    low, high = int(first), int(last or first)
    return (low, high) if 0 < low <= high <= PORT_MAX else None
