"""The ports that a host offers to tasks, written `31000-31999,32100`."""

from collections.abc import Iterator
from dataclasses import dataclass

PORT_MAX = 65535


@dataclass(frozen=True)
class PortPool:
    """Ranges of port numbers, both ends included."""

    ranges: tuple[tuple[int, int], ...] = ()

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)


def parse_pool(text: str) -> PortPool:
    """The pool that a host declares. Parts that are no range of ports offer nothing."""
    return PortPool(tuple(found for part in text.split(",") if (found := parse_range(part))))


def parse_range(part: str) -> tuple[int, int] | None:
    first, _, last = part.strip().partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        return None
    low, high = int(first), int(last or first)
    return (low, high) if 0 < low <= high <= PORT_MAX else None
