"""Decides what becomes of a topology's fires that are due, and of its runs whose graphs have ended.

Invariant: of the instants that are due, each is told of by exactly one fire, the missed ones together by one; and the
next fire is after `now`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from topologies.core.triggers import AtTrigger, Trigger

OVERLAPS = ("skip", "allow")
MISSED_COUNTED_MAX = 1000


@dataclass(frozen=True)
class Due:
    """An active topology with a fire at or before now.

    `overlap` is one of `OVERLAPS`; `running` names a run in progress, empty for none.
    """

    trigger: Trigger
    overlap: str
    fires_at: datetime
    running: str


@dataclass(frozen=True)
class Fire:
    """One run to be recorded: `running` with a graph, `skipped` or `missed` without one."""

    state: Literal["running", "skipped", "missed"]
    kind: Literal["cron", "once"]
    scheduled_at: datetime
    reason: str = ""


@dataclass(frozen=True)
class Firing:
    """What to record, and when the topology fires next; None for never again."""

    fires: tuple[Fire, ...]
    next_at: datetime | None


def decide(due: Due, now: datetime, grace_s: float) -> Firing:
    """Fires all that is at most `grace_s` late; what is later is missed."""
    kind: Literal["cron", "once"] = "once" if isinstance(due.trigger, AtTrigger) else "cron"
    oldest = now - timedelta(seconds=grace_s)
    fires: list[Fire] = []
    instant: datetime | None = due.fires_at
    if due.fires_at < oldest:
        fires.append(Fire("missed", kind, due.fires_at, missed_reason(due, oldest, grace_s)))
        instant = due.trigger.next_after(oldest - timedelta(microseconds=1))
    running = due.running
    while instant is not None and instant <= now:
        if running and due.overlap == "skip":
            fires.append(Fire("skipped", kind, instant, f"{running} was still in progress, and overlap is skip"))
        else:
            fires.append(Fire("running", kind, instant))
            running = f"the run of {instant.isoformat()}"
        instant = due.trigger.next_after(instant)
    return Firing(tuple(fires), instant)


def missed_reason(due: Due, oldest: datetime, grace_s: float) -> str:
    """Counts the instants from the due one up to `oldest`, which is not among them."""
    before = due.fires_at - timedelta(microseconds=1)
    counted = due.trigger.upcoming(before, MISSED_COUNTED_MAX + 1)
    missed = sum(1 for instant in counted if instant < oldest)
    number = f"more than {MISSED_COUNTED_MAX} fires" if missed > MISSED_COUNTED_MAX else plural(missed)
    return f"{number} from {due.fires_at.isoformat()} on: nobody fired within {grace_s:g} s, as the scheduler was down"


def plural(count: int) -> str:
    return "1 fire" if count == 1 else f"{count} fires"


@dataclass(frozen=True)
class Outcome:
    """The final state of a run and why."""

    state: Literal["successful", "completed", "failed", "cancelled"]
    reason: str


def outcome(kind: str, graph_state: str | None, graph_reason: str) -> Outcome:
    """What a run has come to, from the state in which its graph ended; None where the graph is gone."""
    match graph_state:
        case "completed":
            return Outcome("successful" if kind == "cron" else "completed", "")
        case "cancelled":
            return Outcome("cancelled", graph_reason)
        case None:
            return Outcome("failed", "its graph is no longer there, so how it ended is not known")
        case _:
            return Outcome("failed", graph_reason)


def in_progress(run_ids: Sequence[str]) -> str:
    """How reasons name the runs that a new one would overlap with; empty for none."""
    return f"run {run_ids[0]}" if run_ids else ""
