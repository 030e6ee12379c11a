"""When a graph may still start things, and when and how it is over."""

from collections.abc import Mapping
from dataclasses import dataclass

Counts = Mapping[str, int]


@dataclass(frozen=True)
class End:
    """The one end of a graph."""

    state: str
    reason: str


def may_start(counts: Counts, cancel_requested: bool) -> bool:
    """Nothing new starts after an error or the wish to cancel."""
    return counts["errored"] == 0 and not cancel_requested


def decide_end(counts: Counts, cancel_requested: bool) -> End | None:
    """How the graph ends, now that its changes stand so; None while it goes on.

    What is in flight is awaited, also after an error or the wish to cancel.
    """
    if counts["running"]:
        return None
    if counts["errored"]:
        left = f", {counts['waiting']} not started" if counts["waiting"] else ""
        return End("errored", f"{counts['errored']} of {sum(counts.values())} components failed{left}")
    if cancel_requested:
        return End("cancelled", f"cancelled; {counts['completed']} of {sum(counts.values())} components were completed")
    if counts["waiting"] == 0:
        return End("completed", "")
    return None
