"""Arrays: one command submitted many times over, each with an index of its own.

Invariant: the indices of an array are distinct and in ascending order, whatever the order in which they were written.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scheduler_project.toolkit.errors import Fault, SchedulerError
from workers.core.commands import NewCommand, command_faults

INDEX_VARIABLE = "SCHEDULER_ARRAY_INDEX"
ARRAY_SIZE_MAX = 10_000
INDEX_MAX = 2_147_483_647
PART = re.compile(r"(\d{1,10})(?:-(\d{1,10})(?::(\d{1,10}))?)?", re.ASCII)


class ArrayError(SchedulerError):
    """The indices of an array cannot be read."""

    http_status = 422
    code = "invalid"


@dataclass(frozen=True)
class Wanted:
    """A command as it is asked for: once, or with `array` once for each index, at most `at_once` of them at a time."""

    command: NewCommand
    array: str = ""
    at_once: int = 0


@dataclass(frozen=True)
class Member:
    """One command to be stored. `position` is that of the request which it comes from."""

    command: NewCommand
    position: int
    index: int | None = None
    at_once: int = 0


def parse_array(text: str) -> list[int]:
    """The indices of `0-99`, `0-99:5` (every fifth) or `1,3,7`, ascending and each once. Raises ArrayError."""
    chosen: set[int] = set()
    for word in text.split(","):
        part = _range(word.strip())
        if len(part) > ARRAY_SIZE_MAX or len(chosen | set(part)) > ARRAY_SIZE_MAX:
            raise ArrayError(f"has more than {ARRAY_SIZE_MAX} indices")
        chosen.update(part)
    return sorted(chosen)


def members_of(wanted: Sequence[Wanted]) -> list[Member]:
    """Every command to be stored, in the order asked for. Raises ArrayError for an array that was not validated."""
    return [member for position, one in enumerate(wanted) for member in _members(one, position)]


def faults_of_wanted(wanted: Sequence[Wanted], path: str = "commands") -> list[Fault]:
    """Every fault of every request, each with its path such as `commands[0].array`."""
    return [
        Fault(f"{path}[{position}].{name}", message)
        for position, one in enumerate(wanted)
        for name, message in (*command_faults(one.command), *_array_faults(one))
    ]


def _range(word: str) -> range:
    found = PART.fullmatch(word)
    if found is None:
        raise ArrayError(f"{word!r} is no index or range; write for example 0-99, 0-99:5 or 1,3,7")
    first = int(found[1])
    last, step = int(found[2] or first), int(found[3] or 1)
    if last < first:
        raise ArrayError(f"{word!r} ends before it begins")
    if step == 0:
        raise ArrayError(f"{word!r} has a step of 0")
    if last > INDEX_MAX:
        raise ArrayError(f"{word!r} goes beyond {INDEX_MAX}")
    return range(first, last + 1, step)


def _members(wanted: Wanted, position: int) -> Iterator[Member]:
    if not wanted.array:
        yield Member(wanted.command, position)
        return
    for index in parse_array(wanted.array):
        yield Member(_of_index(wanted.command, index), position, index, wanted.at_once)


def _of_index(command: NewCommand, index: int) -> NewCommand:
    key = f"{command.idempotency_key}/{index}" if command.idempotency_key else None
    return replace(command, env={**command.env, INDEX_VARIABLE: str(index)}, idempotency_key=key)


def _array_faults(wanted: Wanted) -> Iterator[tuple[str, str]]:
    if wanted.at_once < 0:
        yield "at_once", "is not a number of 0 or more"
    if wanted.at_once and not wanted.array:
        yield "at_once", "bounds an array; give array too"
    if not wanted.array:
        return
    try:
        parse_array(wanted.array)
    except ArrayError as error:
        yield "array", str(error)
