"""How a run went in time: since when each component could have started, and which chain kept the graph from its end.

Invariant: the chain is one of dependencies, in order; it ends in the component that ended, or will end, last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Ran:
    """When a component's first attempt began and when its last ended; None where that has not happened."""

    started_at: datetime | None
    ended_at: datetime | None


def ready_at(ran: Mapping[str, Ran], needed: Sequence[str], since: datetime) -> datetime | None:
    """When the last of what a component needs had ended, `since` at the earliest; None while something has not."""
    ends = [ran[one].ended_at for one in needed if one in ran]
    known = [end for end in ends if end is not None]
    return max([since, *known]) if len(known) == len(ends) else None


def critical_path(ran: Mapping[str, Ran], needed: Mapping[str, Sequence[str]], now: datetime) -> tuple[str, ...]:
    """The chain that took until the end: back from the last to end, always to the dependency that ended last.

    What still runs ends now at the earliest. Empty where nothing has started.
    """
    ends = {name: one.ended_at or now for name, one in ran.items() if one.started_at is not None}
    chain: list[str] = []
    following: Sequence[str] = list(ends)
    while following:
        last = max(following, key=ends.__getitem__)
        chain.append(last)
        following = [one for one in needed.get(last, ()) if one in ends]
    return tuple(reversed(chain))
