"""Reads one field of a Quartz cron expression that holds plain values: lists, ranges, steps and names.

Invariant: every refusal is a BadCron that names the field, its position and what to write instead.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from topologies.core.errors import BadCron

MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
FIRST_YEAR, LAST_YEAR = 1970, 2099

ITEM = re.compile(
    r"(?P<start>\*|[0-9]{1,9}|[A-Z]+)?(?:-(?P<stop>[0-9]{1,9}|[A-Z]+))?(?P<slash>/)?(?P<step>[0-9]{1,9})?"
)


@dataclass(frozen=True)
class Field:
    """One place of the expression: its position from 1, its name and its range, both ends included.

    A range such as `22-2` wraps from `last` to `first` where `wraps` says so. A step may be at most `max_step`.
    """

    position: int
    name: str
    first: int
    last: int
    max_step: int
    names: Mapping[str, int] = field(default_factory=dict)
    wraps: bool = True

    def bad(self, text: str, what: str) -> BadCron:
        """The error for `text`, ready to be raised."""
        return BadCron(f"field {self.position} ({self.name}) {text!r}: {what}")


def numbered(names: tuple[str, ...]) -> dict[str, int]:
    """The names with their numbers, from 1."""
    return {name: number for number, name in enumerate(names, start=1)}


SECONDS = Field(1, "seconds", 0, 59, 59)
MINUTES = Field(2, "minutes", 0, 59, 59)
HOURS = Field(3, "hours", 0, 23, 23)
DAYS_OF_MONTH = Field(4, "day of month", 1, 31, 31)
MONTHS_OF_YEAR = Field(5, "month", 1, 12, 12, numbered(MONTH_NAMES))
DAYS_OF_WEEK = Field(6, "day of week", 1, 7, 7, numbered(WEEKDAY_NAMES))
YEARS = Field(7, "year", FIRST_YEAR, LAST_YEAR, LAST_YEAR, wraps=False)


def parse_values(where: Field, text: str) -> tuple[int, ...]:
    """The values that a field matches, ascending. Raises BadCron."""
    values: set[int] = set()
    for item in text.split(","):
        values |= parse_item(where, text, item)
    return tuple(sorted(values))


def parse_item(where: Field, text: str, item: str) -> set[int]:
    """One part of a list: `*`, `5`, `10-40`, `FRI-MON`, each but a name with a step such as `/10`."""
    if not item:
        raise where.bad(text, "there is nothing beside a comma; remove the comma")
    if item == "?":
        raise where.bad(text, "'?' may stand only alone, for the day of month or the day of week; write '*'")
    found = ITEM.fullmatch(item)
    if found is None or (found["start"] is None and found["slash"] is None):
        raise where.bad(text, f"{item!r} is neither a value, a range nor a step; write such as {example_of(where)}")
    start, stop, step = found["start"], found["stop"], found["step"]
    check_shape(where, text, item, found)
    increment = read_step(where, text, step) if found["slash"] else None
    if start in (None, "*"):
        return set(range(where.first, where.last + 1, increment or 1))
    low = read_value(where, text, start)
    if stop is not None:
        return values_between(where, text, low, read_value(where, text, stop), increment or 1)
    return {low} if increment is None else set(range(low, where.last + 1, increment))


def check_shape(where: Field, text: str, item: str, found: re.Match[str]) -> None:
    """Refuses what Quartz refuses or, worse, takes and reads as something else."""
    start, stop = found["start"] or "*", found["stop"]
    if start == "*" and stop is not None:
        raise where.bad(text, f"a range needs a value before '-'; write such as {example_of(where)}")
    if found["slash"] and found["step"] is None:
        raise where.bad(text, "a number must follow '/'; write such as 0/5")
    if found["step"] is not None and not found["slash"]:
        raise where.bad(text, f"{item!r} is not a value; write such as {example_of(where)}")
    if stop is not None and start.isalpha() != stop.isalpha():
        raise where.bad(text, f"{item!r} mixes a name and a number; write both as names or both as numbers")
    if found["slash"] and start.isalpha():
        raise where.bad(text, f"Quartz ignores a step after names; write {item!r} with numbers")


def read_value(where: Field, text: str, word: str) -> int:
    """A number in the field's range, or one of its names."""
    if word.isalpha():
        if word not in where.names:
            hint = f"use {', '.join(where.names)}" if where.names else "use a number"
            raise where.bad(text, f"{word!r} is no {where.name} here; {hint} ({where.first} to {where.last})")
        return where.names[word]
    value = int(word)
    if not where.first <= value <= where.last:
        raise where.bad(text, f"{word} is outside {where.first} to {where.last}")
    return value


def read_step(where: Field, text: str, word: str) -> int:
    step = int(word)
    if not 1 <= step <= where.max_step:
        raise where.bad(text, f"the step {word} is outside 1 to {where.max_step}")
    return step


def values_between(where: Field, text: str, start: int, stop: int, step: int) -> set[int]:
    """A range; one whose end lies before its start goes round, as in `22-2`. Raises BadCron where years do."""
    if stop >= start:
        return set(range(start, stop + 1, step))
    if not where.wraps:
        raise where.bad(text, f"{start} comes after {stop}; write {stop}-{start}")
    size = where.last - where.first + 1
    return {(value - where.first) % size + where.first for value in range(start, stop + size + 1, step)}


def example_of(where: Field) -> str:
    if where.names:
        first, second = list(where.names)[1:3]
        return f"{first}, {first}-{second} or *"
    return f"{where.first + 5}, {where.first}-{where.first + 5}, {where.first}/5 or *"
