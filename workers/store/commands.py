"""Takes commands in and cancels them.

Invariant: a command that was accepted has a row, and an idempotency key has one row whatever the number of submits.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import uuid_utils
from django.conf import settings
from django.db import transaction

from scheduler_project.toolkit.bulk import update_rows
from scheduler_project.toolkit.errors import Conflict, InvalidDocument
from workers import dispatch
from workers.core.attention import ORDER_LIFE_S
from workers.core.commands import NewCommand, faults_of
from workers.core.states import COMMAND
from workers.models import Command
from workers.store.orders import by_host, stop_order
from workers.store.rows import announce_ended, locked, record


def submit(commands: Sequence[NewCommand], now: datetime, submitted_by: Any = None) -> list[Command]:
    """Stores commands and has them placed after commit; returns their rows in the order given.

    A command whose idempotency key is known returns the row of the first. Raises InvalidDocument with every fault, and
    Conflict where a key was used for a different command.
    """
    faults = faults_of(commands)
    if faults:
        raise InvalidDocument(faults)
    rows = [_row(command, now, submitted_by) for command in commands]
    with transaction.atomic():
        known = _known(commands)
        fresh = _fresh(rows, known)
        keyed = any(row.idempotency_key for row in fresh)
        Command.objects.bulk_create(fresh, ignore_conflicts=keyed)
        if keyed:
            known = _known(commands)
            fresh = [row for row in fresh if row.id == known.get(row.idempotency_key or "", row).id]
        record(fresh, now, str(submitted_by or ""))
        if fresh:
            dispatch.wake_after_commit()
    return [_same(row, known) for row in rows]


def cancel(command_ids: Sequence[str], now: datetime, actor: str, reason: str) -> None:
    """Cancels what has not been sent and asks the agents to stop the rest; ended commands stay as they are."""
    with transaction.atomic():
        found = Command.objects.unfinished().filter(id__in=list(command_ids), cancel_requested=False)
        commands = list(locked(found.select_related("worker").order_by("id")))
        unsent = [command for command in commands if command.state == "pending"]
        for command in commands:
            command.cancel_requested, command.reason = True, reason
            command.remind_at = now + timedelta(seconds=ORDER_LIFE_S) if command.attempt else None
        for command in unsent:
            COMMAND.check(command.state, "cancelled")
            command.state, command.ended_at = "cancelled", now
        update_rows(commands, ["state", "cancel_requested", "reason", "ended_at", "remind_at"])
        record(unsent, now, actor)
        announce_ended(unsent)
        dispatch.publish_after_commit(by_host((command, stop_order(command)) for command in commands))


def _row(command: NewCommand, now: datetime, submitted_by: Any) -> Command:
    start_within_s = command.start_within_s or settings.SCHEDULER_START_WITHIN_S
    return Command(
        id=str(uuid_utils.uuid7()),
        argv=list(command.argv),
        env=dict(command.env),
        cwd=command.cwd,
        stdin=command.stdin,
        on=command.on,
        timeout_s=command.timeout_s,
        grace_s=command.grace_s,
        owner=command.owner,
        idempotency_key=command.idempotency_key or None,
        submitted_by=submitted_by,
        created_at=now,
        remind_at=now,
        start_by=now + timedelta(seconds=start_within_s),
    )


def _known(commands: Sequence[NewCommand]) -> dict[str, Command]:
    keys = [command.idempotency_key for command in commands if command.idempotency_key]
    if not keys:
        return {}
    return {row.idempotency_key or "": row for row in Command.objects.filter(idempotency_key__in=keys)}


def _fresh(rows: Sequence[Command], known: Mapping[str, Command]) -> list[Command]:
    """The rows to be stored: without a known key, and the first only of a key that is given twice."""
    seen = set(known)
    fresh = []
    for row in rows:
        if row.idempotency_key is None or row.idempotency_key not in seen:
            fresh.append(row)
            seen.add(row.idempotency_key or "")
    return fresh


def _same(row: Command, known: Mapping[str, Command]) -> Command:
    first = known.get(row.idempotency_key or "", row)
    for name in ("argv", "env", "cwd", "on", "owner"):
        if getattr(first, name) != getattr(row, name):
            raise Conflict(f"the idempotency key {row.idempotency_key!r} was used for a command with another {name}")
    return first
