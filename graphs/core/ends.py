"""When a graph may still start things, and when and how it is over.

Invariant: a graph ends only when nothing is in flight, and only when nothing that waits can start any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graphs.core.rules import AFTER_CANCEL, AFTER_ERROR, RULES

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Standing:
    """A graph as a whole: its changes by state, and what was decided about it.

    `forgiven` counts failed components that no longer stop the graph, as somebody has retried something since.
    `has_rules` is whether any component has another rule than that all it needs is completed.
    """

    counts: Counts
    cancel_requested: bool = False
    paused: bool = False
    forgiven: int = 0
    has_rules: bool = False

    @property
    def failed(self) -> bool:
        """Whether a failure stops it."""
        return self.counts["errored"] > self.forgiven


@dataclass(frozen=True)
class End:
    """The end of a run of a graph."""

    state: str
    reason: str


def rules_that_start(graph: Standing) -> tuple[str, ...]:
    """The rules whose components may start now: after an error and after a cancel only those made for it."""
    if graph.paused:
        return ()
    return rules_left(graph)


def rules_left(graph: Standing) -> tuple[str, ...]:
    """The same, as if the graph were not paused."""
    if not (graph.cancel_requested or graph.failed):
        return RULES
    if not graph.has_rules:
        return ()
    return AFTER_CANCEL if graph.cancel_requested else AFTER_ERROR


def must_look(graph: Standing) -> bool:
    """Whether the counts alone cannot tell if something that waits may still start."""
    troubled = graph.cancel_requested or graph.counts["errored"] or graph.counts["cancelled"] or graph.counts["skipped"]
    return bool(troubled and graph.counts["waiting"] and not graph.counts["running"] and rules_left(graph))


def decide_end(graph: Standing, *, startable: bool) -> End | None:
    """How the graph ends, now that its changes stand so; None while it goes on.

    What is in flight is awaited, also after an error or the wish to cancel. `startable` is whether something that waits
    may still start; it counts where `must_look` asks for it.
    """
    counts = graph.counts
    if counts["running"] or (must_look(graph) and startable):
        return None
    total = sum(counts.values())
    if counts["errored"]:
        left = f", {counts['waiting']} not started" if counts["waiting"] else ""
        return End("errored", f"{counts['errored']} of {total} components failed{left}")
    if graph.cancel_requested or counts["cancelled"]:
        return End("cancelled", f"cancelled; {counts['completed']} of {total} components were completed")
    if counts["waiting"] == 0:
        return End("completed", "")
    return None
