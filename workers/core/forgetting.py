"""Decides which ended commands are forgotten in one step.

Invariant: none that something still waits for, and a step's cost is bounded by rows and by bytes of output.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class EndedCommand:
    """A command in a final state. `awaited`: a worker is still to be told to stop it, or to be asked after it."""

    id: str
    ended_at: datetime | None
    awaited: bool
    array_id: str | None
    output_bytes: int


@dataclass(frozen=True)
class Forgetting:
    """What to forget, and the id after which the next step goes on; empty for the beginning."""

    ids: tuple[str, ...]
    position: str


def forgetting(
    page: Sequence[EndedCommand],
    over_before: datetime,
    needed: Container[str],
    unfinished_arrays: Container[str | None],
    page_size: int,
    output_bytes: int,
) -> Forgetting:
    """`page` is the next commands by id, fewer than `page_size` where there are no more.

    `needed` are the ids that others ask to keep. A step ends early where the output so far is more than `output_bytes`.
    """
    ids: list[str] = []
    size = 0
    for command in page:
        if command.ended_at is None or command.ended_at >= over_before or command.awaited:
            continue
        if command.id in needed or command.array_id in unfinished_arrays:
            continue
        if ids and size + command.output_bytes > output_bytes:
            return Forgetting(tuple(ids), ids[-1])
        ids.append(command.id)
        size += command.output_bytes
    return Forgetting(tuple(ids), page[-1].id if len(page) == page_size else "")
