"""Small pieces that all writers of this package share: row locks, unit names, events of commands, the signal."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from django.db import connection, models, transaction
from django.db.models import F

from scheduler_project.toolkit import events
from scheduler_project.toolkit.bulk import update_rows
from workers.models import OUTCOMES, Command, Worker
from workers.signals import commands_ended

logger = logging.getLogger(__name__)
BATCH_SIZE = 500
Row = TypeVar("Row", bound=models.Model)


def locked(rows: "models.QuerySet[Row]") -> "models.QuerySet[Row]":
    """Waits for the rows' locks, in the order of the queryset. SQLite's one writer needs none."""
    return rows.select_for_update(of=("self",), no_key=True) if connection.features.has_select_for_update_of else rows


def claimed(rows: "models.QuerySet[Row]") -> "models.QuerySet[Row]":
    """Locks the rows that no other process works on now, so that any number of sweepers share the work."""
    if not connection.features.has_select_for_update_skip_locked:
        return rows
    return rows.select_for_update(of=("self",), no_key=True, skip_locked=True)


def read_in_order() -> None:
    """Has PostgreSQL take the first rows of an order from its index until the transaction ends.

    Its statistics know nothing of a backlog that has just come: it would sort all of it to find the first few.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")


def unit_of(command: Command) -> str:
    """The name by which agents know a command."""
    return f"command/{command.id}"


def event_of(command: Command, actor: str = "", name: str = "") -> events.NewEvent:
    """The event of a command that has just got its state; its reason is the message."""
    data = {"state": command.state, "attempt": command.attempt, "exit_code": command.exit_code}
    level = "error" if command.state == "dead" else "info"
    return events.NewEvent(
        name or f"command.{command.state}", f"command:{command.id}", command.reason, level, data, actor
    )


def announce_ended(commands: Sequence[Command]) -> None:
    """Counts final commands for their workers, and tells the apps above of them once the transaction has committed."""
    if commands:
        _count(commands)
        transaction.on_commit(lambda: _send_ended(commands))


def _count(commands: Sequence[Command]) -> None:
    """The workers are locked last, as everywhere, and in the order of their ids."""
    ended = Counter((command.worker_id, command.outcome) for command in commands if command.worker_id)
    ids = {worker_id for worker_id, _ in ended}
    if len(ids) == 1:
        more = {f"{outcome}_count": F(f"{outcome}_count") + count for (_, outcome), count in ended.items()}
        Worker.objects.filter(id__in=ids).update(**more)
        return
    workers = list(locked(Worker.objects.filter(id__in=ids).order_by("id")))
    for worker in workers:
        for outcome in OUTCOMES:
            field = f"{outcome}_count"
            setattr(worker, field, getattr(worker, field) + ended[worker.id, outcome])
    update_rows(workers, [f"{outcome}_count" for outcome in OUTCOMES])


def record(commands: Iterable[Command], now: datetime, actor: str = "") -> None:
    """One event per command, named after its new state."""
    events.record([event_of(command, actor) for command in commands], now)


def _send_ended(commands: Sequence[Command]) -> None:
    for receiver, answer in commands_ended.send_robust(sender=Command, commands=list(commands)):
        if isinstance(answer, Exception):
            logger.error("commands_ended.listener_failed receiver=%s error=%r", receiver, answer, exc_info=answer)
