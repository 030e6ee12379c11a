"""What an agent's report means for a task.

Invariant: a report of another attempt or host, or one that the state machine does not allow, changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from clusters.core.backoff import delay_after
from clusters.core.states import LIVE, TASK
from workers.protocol import Accepted, Refused, Report, TaskState, Unknown

GONE = frozenset({"stopped", "rejected"})


@dataclass(frozen=True)
class Progress:
    """The part of a task that reports change. `host` is the host's id and `host_name` its name."""

    id: str
    attempt: int
    host: str
    host_name: str
    state: str
    session: str = ""
    reason: str = ""
    restarts: int = 0
    failures: int = 0
    avoid: tuple[str, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    resend_at: datetime | None = None
    next_issue_at: datetime | None = None


def advance(task: Progress, reports: Sequence[Report], host_name: str, session: str, now: datetime) -> Progress:
    """The task after reports from a host, in order; the same object where they change nothing."""
    if host_name != task.host_name:
        return task
    for report in reports:
        if report.attempt == task.attempt:
            task = apply_report(task, report, session, now)
    return task


def apply_report(task: Progress, report: Report, session: str, now: datetime) -> Progress:
    if task.state == "lost":
        return after_lost(task, report, now)
    if task.state in TASK.final:
        return task
    if task.state == "stopping":
        return while_stopping(task, report, now)
    heard = replace(task, session=session, resend_at=None)
    if isinstance(report, Accepted):
        return heard
    if isinstance(report, Refused):
        return failed(heard, "rejected", report.reason, now) if task.state == "issued" else task
    if isinstance(report, Unknown):
        return unknown(heard, now)
    return told(heard, report, now) if isinstance(report, TaskState) else task


def told(task: Progress, report: TaskState, now: datetime) -> Progress:
    """What the agent says that a live task does."""
    if report.state in GONE:
        reason = report.reason or "the agent stopped it unasked"
        return replace(failed(task, report.state, reason, now), restarts=report.restarts)
    if report.state not in LIVE or not (report.state == task.state or TASK.allows(task.state, report.state)):
        return task
    after = replace(task, state=report.state, reason=report.reason, restarts=report.restarts)
    if report.state == "running":
        return replace(after, failures=0, avoid=(), started_at=task.started_at or now)
    return after


def failed(task: Progress, state: str, reason: str, now: datetime) -> Progress:
    """It ended here unasked: its instance is issued again after a while, elsewhere if possible."""
    failures = task.failures + 1
    return replace(
        task,
        state=state,
        reason=reason,
        failures=failures,
        avoid=(*(host for host in task.avoid if host != task.host), task.host),
        ended_at=now,
        next_issue_at=now + delay_after(failures),
    )


def unknown(task: Progress, now: datetime) -> Progress:
    """The agent never took it, or has lost its journal: sent again, or given up."""
    if task.state == "issued":
        return replace(task, resend_at=now)
    return replace(task, state="lost", reason="the agent does not know it any more", ended_at=now)


def while_stopping(task: Progress, report: Report, now: datetime) -> Progress:
    """Only its end is news; until then the stop is sent again."""
    if isinstance(report, Unknown | Refused) or (isinstance(report, TaskState) and report.state in GONE):
        return replace(task, state="stopped", ended_at=now, resend_at=None)
    return task


def after_lost(task: Progress, report: Report, now: datetime) -> Progress:
    """A host is back with a task that was given up: it is told to stop it until it says that it did."""
    if isinstance(report, Unknown | Refused) or (isinstance(report, TaskState) and report.state in GONE):
        return replace(task, resend_at=None)
    return replace(task, resend_at=task.resend_at or now)
