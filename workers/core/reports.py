"""What an agent's report makes of a command: nothing, a change of its row, or an order back to the agent.

Invariant: only reports of the present attempt change a command, a final state is never left, and the order in which
reports arrive does not matter: an end that comes first stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from workers.core.states import COMMAND
from workers.protocol import Accepted, Ended, Refused, Report, Started, Unknown

ASK_AFTER_S = 30
REPORT_WITHIN_S = 60


@dataclass(frozen=True)
class CommandNow:
    """A command as its row says. Attempts up to `ended_attempt` are over: another was made of each."""

    state: str
    attempt: int
    ended_attempt: int = 0
    worker: str = ""
    accepted: bool = False
    cancel_requested: bool = False
    timeout_s: float = 0
    grace_s: float = 10
    reason: str = ""

    @property
    def final(self) -> bool:
        return self.state in COMMAND.final


@dataclass(frozen=True)
class Verdict:
    """The fields to be set, `state` among them where it changes.

    `late` says why a report that came too late or twice changes nothing. `stop`: the agent carries out what it should
    not, and is told so.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    late: str = ""
    stop: bool = False


def judge(command: CommandNow, report: Report, host: str, now: datetime) -> Verdict:
    """What one report of a host's agent means for a command."""
    if host != command.worker:
        message = f"{host} reported on it, which is not its worker"
        return Verdict(late=message, stop=_goes_on(report))
    if report.attempt != command.attempt:
        message = f"a report on attempt {report.attempt} came after attempt {command.attempt} had been sent"
        return Verdict(late=message, stop=_goes_on(report))
    if command.final:
        return _after_the_end(command, report)
    if report.attempt <= command.ended_attempt:
        message = f"{type(report).__name__} of attempt {report.attempt} came after that had ended"
        return Verdict(late=message, stop=_goes_on(report))
    match report:
        case Accepted():
            return Verdict(_heard(now) | _taken(command, now))
        case Refused():
            return _refused(command, report, now)
        case Started():
            return _started(command, report, now)
        case Ended():
            return _ended(command, report)
        case Unknown():
            return _unknown(command, now)
        case _:
            return Verdict(late=f"a report of kind {type(report).__name__} means nothing for a command")


def moment(unix_s: float) -> datetime:
    """The time that an agent's clock told."""
    return datetime.fromtimestamp(unix_s, UTC)


def _goes_on(report: Report) -> bool:
    return isinstance(report, Accepted | Started)


def _after_the_end(command: CommandNow, report: Report) -> Verdict:
    """An end that was learnt stays. An agent that answers has nothing left to be stopped."""
    if isinstance(report, Unknown):
        return Verdict({"remind_at": None})
    if not _goes_on(report):
        message = f"{type(report).__name__} came after it had become {command.state}"
        return Verdict({"remind_at": None}, late=message)
    if command.state == "done":
        return Verdict()
    return Verdict(late=f"it was reported alive after it had become {command.state}", stop=True)


def _heard(now: datetime) -> dict[str, Any]:
    return {"remind_at": now + timedelta(seconds=ASK_AFTER_S)}


def _taken(command: CommandNow, now: datetime) -> dict[str, Any]:
    """An agent that was believed lost took it all the same: it is scheduled again, under the same attempt."""
    fields: dict[str, Any] = {} if command.accepted else {"accepted_at": now, "ack_by": None}
    if command.state == "pending":
        fields |= {"state": "scheduled", "reason": ""}
    return fields


def _started(command: CommandNow, report: Started, now: datetime) -> Verdict:
    fields = _heard(now) | _taken(command, now)
    if command.state != "running":
        started_at = moment(report.at)
        fields |= {"state": "running", "started_at": started_at, "run_by": _run_by(command, started_at)}
    return Verdict(fields)


def _run_by(command: CommandNow, started_at: datetime) -> datetime | None:
    if not command.timeout_s:
        return None
    return started_at + timedelta(seconds=command.timeout_s + command.grace_s + REPORT_WITHIN_S)


def _refused(command: CommandNow, report: Refused, now: datetime) -> Verdict:
    """Nothing of it ran, so another attempt is safe; it is made at the next tick."""
    if command.state == "running":
        return Verdict(late="a refusal was reported after it had started")
    if command.cancel_requested:
        return Verdict(_final("cancelled", now, command.reason))
    fields = {"state": "pending", "accepted_at": None, "ack_by": None, "remind_at": now}
    return Verdict({**fields, "reason": f"refused: {report.reason}"})


def _unknown(command: CommandNow, now: datetime) -> Verdict:
    """An order that was never acknowledged is sent again; one that was may have run, and must not run twice."""
    if command.accepted or command.state == "running":
        return Verdict(_final("dead", now, "its agent no longer knows it: the journal was lost; it may have run"))
    if command.cancel_requested:
        return Verdict(_final("cancelled", now, command.reason))
    return Verdict({"remind_at": now})


def _ended(command: CommandNow, report: Ended) -> Verdict:
    state, reason = _end_state(command, report)
    fields = _final(state, moment(report.at), reason) | {
        "exit_code": report.exit_code,
        "signal": report.signal,
        "start_error": report.start_error,
        "start_error_kind": report.start_error_kind,
        "timed_out": report.timed_out,
        "stdout_bytes": report.stdout_bytes,
        "stderr_bytes": report.stderr_bytes,
    }
    return Verdict(fields | _used(report))


def _used(report: Ended) -> dict[str, Any]:
    """What it used, where its host could measure it."""
    usage = report.usage
    if usage is None:
        return {}
    return {name: getattr(usage, name) for name in usage.__struct_fields__}


def _end_state(command: CommandNow, report: Ended) -> tuple[str, str]:
    if report.cancelled and command.cancel_requested:
        return "cancelled", command.reason
    if report.start_error:
        return "dead", f"it could not be started: {report.start_error}"
    if report.lost:
        return "dead", f"its end could not be learnt: {report.lost}"
    if report.timed_out:
        return "done", f"stopped after its time limit of {command.timeout_s:g} s"
    return "done", report.told


def _final(state: str, at: datetime, reason: str) -> dict[str, Any]:
    return {"state": state, "ended_at": at, "reason": reason, "remind_at": None, "ack_by": None}
