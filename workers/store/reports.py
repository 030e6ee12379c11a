"""Applies what agents report.

Invariant: an envelope is applied in one transaction, and one that comes twice, late or from a session that does not
hold the host's name leaves all rows as they were.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from scheduler_project.toolkit import events
from scheduler_project.toolkit.bulk import insert_missing_rows, update_rows
from workers import dispatch
from workers.core.reports import CommandNow, judge
from workers.core.sequence import Progress, advance
from workers.core.states import COMMAND
from workers.models import Command, CommandAttempt, CommandOutput, Worker
from workers.protocol import Applied, Ended, Order, Output, Refused, Report, Reports, StopUnit, Unknown, id_of, kind_of
from workers.store.holding import free
from workers.store.retrying import RETRIED, keep, known_gone, retry
from workers.store.rows import announce_ended, event_of, locked
from workers.units import handlers

logger = logging.getLogger(__name__)
STREAMS = frozenset({"stdout", "stderr"})
UNREAD = (  # what is only for the agent, or for people: reading it costs as much as all the rest
    "argv",
    "env",
    "stdin",
    "cwd",
    "on",
    "user",
    "memory_mb",
    "cpu_seconds",
    "open_files",
    "priority",
    "idempotency_key",
    "array_index",
    "created_at",
)


def apply_reports(envelope: Reports, now: datetime) -> None:
    """Applies one envelope and, after commit, tells the agent up to where it need not be kept."""
    if not envelope.reports:
        return
    with transaction.atomic(savepoint=False):
        worker = Worker.objects.filter(name=envelope.host).only("name", "session", "refused_session").first()
        if worker is None or worker.session != envelope.session:
            _refuse(worker, envelope, now)
            return
        by_kind: dict[str, list[Report]] = {}
        for numbered in envelope.reports:
            by_kind.setdefault(kind_of(numbered.report.unit), []).append(numbered.report)
        for kind, reports in by_kind.items():
            _hand_over(kind, envelope.host, reports, now)
        _acknowledge(envelope)


def apply_command_reports(host: str, reports: Sequence[Report], now: datetime) -> None:
    """Applies reports on commands; the handler of the kind `command`."""
    batch = _Batch(host, _reported_on(host, reports), now)
    for report in reports:
        batch.apply(report)
    batch.write()


def _reported_on(host: str, reports: Sequence[Report]) -> dict[str, Command]:
    """The commands by id, locked. Their worker, nearly always the one that reports, is read once for all."""
    ids = {id_of(report.unit) for report in reports}
    rows = list(locked(Command.objects.filter(id__in=ids).defer(*UNREAD).order_by("id")))
    workers = Worker.objects.only("name").in_bulk({row.worker_id for row in rows if row.worker_id})
    for row in rows:
        row.worker = workers.get(row.worker_id or "")
    return {row.id: row for row in rows}


def _refuse(worker: Worker | None, envelope: Reports, now: datetime) -> None:
    logger.warning("reports.refused host=%s session=%s", envelope.host, envelope.session)
    if worker is None:
        return
    worker = locked(Worker.objects.filter(id=worker.id)).get()
    if worker.refused_session != envelope.session:
        message = f"reports of session {envelope.session} are refused: {worker.session} holds the name"
        events.record([events.NewEvent("worker.refused", f"worker:{worker.name}", message, "warning")], now)
    worker.refused_session = envelope.session
    worker.refused_reports += len(envelope.reports)
    worker.save(update_fields=["refused_session", "refused_reports"])


def _hand_over(kind: str, host: str, reports: Sequence[Report], now: datetime) -> None:
    handler = handlers().get(kind)
    if handler is None:
        logger.warning("reports.unknown_kind host=%s kind=%s count=%d", host, kind, len(reports))
        return
    handler(host, reports, now)


def _acknowledge(envelope: Reports) -> None:
    """Last in the transaction: commands are locked before workers everywhere."""
    rows = Worker.objects.filter(name=envelope.host, session=envelope.session)
    worker = locked(rows.only("name", "applied_seq", "gap_seq")).first()
    if worker is None:
        return
    numbers = [numbered.seq for numbered in envelope.reports]
    progress = advance(Progress(worker.applied_seq, worker.gap_seq), min(numbers), max(numbers))
    worker.applied_seq, worker.gap_seq = progress.applied, progress.gap
    worker.save(update_fields=["applied_seq", "gap_seq"])
    dispatch.publish_after_commit({worker.name: [Applied(session=envelope.session, seq=progress.applied)]})


class _Batch:
    """The commands of one envelope while its reports are applied to them in memory, and then written at once."""

    def __init__(self, host: str, commands: Mapping[str, Command], now: datetime) -> None:
        self._host = host
        self._commands = commands
        self._now = now
        self._fields: dict[str, set[str]] = {}
        self._events: list[events.NewEvent] = []
        self._pieces: list[CommandOutput] = []
        self._stops: dict[tuple[str, int], Order] = {}
        self._ended: list[Command] = []
        self._tried: list[CommandAttempt] = []
        self._left: list[Command] = []
        self._gone: set[tuple[str, int]] = set()
        self._unknown = 0

    def apply(self, report: Report) -> None:
        command = self._commands.get(id_of(report.unit))
        if command is None:
            self._unknown += 1
        elif isinstance(report, Output):
            self._keep(command, report)
        else:
            self._judge(command, report)

    def write(self) -> None:
        changed = [self._commands[command_id] for command_id, fields in self._fields.items() if fields]
        update_rows(changed, sorted(set().union(*self._fields.values())))
        insert_missing_rows(self._pieces)
        if self._unknown:
            message = f"{self._unknown} reports were on commands that do not exist"
            self._events.append(events.NewEvent("worker.unknown_reports", f"worker:{self._host}", message, "warning"))
        events.record(self._events, self._now)
        announce_ended(self._ended)
        keep(self._tried)
        known_gone(self._gone)
        if self._left:
            free(self._left, self._now)
            dispatch.wake_after_commit()
        if self._stops:
            dispatch.publish_after_commit({self._host: list(self._stops.values())})

    def _judge(self, command: Command, report: Report) -> None:
        verdict = judge(_as_now(command), report, self._host, self._now)
        self._set(command, verdict.fields)
        if report.attempt <= command.ended_attempt and isinstance(report, Ended | Refused | Unknown):
            self._gone.add((command.id, report.attempt))
        if verdict.late:
            self._late(command, verdict.late, report)
        if verdict.stop:
            self._stops[report.unit, report.attempt] = StopUnit(
                unit=report.unit, attempt=report.attempt, grace_s=command.grace_s, reason=verdict.late
            )

    def _set(self, command: Command, fields: Mapping[str, Any]) -> None:
        before, state = command.state, fields.get("state", command.state)
        if state != before:
            COMMAND.check(before, state)
        for name, value in fields.items():
            setattr(command, name, value)
        self._fields.setdefault(command.id, set()).update(fields)
        if state != before and state in COMMAND.final:
            self._end(command, before)
        elif state != before:
            self._events.append(event_of(command))

    def _end(self, command: Command, before: str) -> None:
        self._left.append(command)
        tried = retry(command, before, self._now)
        if tried is None:
            self._events.append(event_of(command))
            self._ended.append(command)
            return
        self._tried.append(tried)
        self._fields[command.id].update(RETRIED)
        self._events.append(event_of(command, name="command.retrying"))

    def _late(self, command: Command, message: str, report: Report) -> None:
        """Counted each time, recorded once: an agent may repeat itself for long."""
        if not command.late_reports:
            data = {"report": type(report).__name__, "attempt": report.attempt, "host": self._host}
            subject = f"command:{command.id}"
            self._events.append(events.NewEvent("command.late_report", subject, message, "warning", data))
        self._set(command, {"late_reports": command.late_reports + 1})

    def _keep(self, command: Command, report: Output) -> None:
        if self._host != _worker_of(command) or report.attempt != command.attempt:
            self._late(command, f"output of attempt {report.attempt} on {self._host} is not kept", report)
            return
        if report.stream not in STREAMS or report.offset < 0:
            self._late(command, f"there is no place {report.offset} in {report.stream!r}", report)
            return
        data = report.data[: max(command.output_limit_bytes - report.offset, 0)]
        if data:
            piece = CommandOutput(
                command_id=command.id, attempt=report.attempt, stream=report.stream, offset=report.offset, data=data
            )
            self._pieces.append(piece)


def _worker_of(command: Command) -> str:
    return command.worker.name if command.worker is not None else ""


def _as_now(command: Command) -> CommandNow:
    return CommandNow(
        state=command.state,
        attempt=command.attempt,
        ended_attempt=command.ended_attempt,
        worker=_worker_of(command),
        accepted=command.accepted_at is not None,
        cancel_requested=command.cancel_requested,
        timeout_s=command.timeout_s,
        grace_s=command.grace_s,
        reason=command.reason,
    )
