"""Takes commands in and cancels them.

Invariant: a command that was accepted has a row, and an idempotency key has one row whatever the number of submits.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import uuid_utils
from django.conf import settings
from django.db import transaction

from scheduler_project.toolkit.bulk import insert_missing_rows, insert_rows, update_rows
from scheduler_project.toolkit.errors import Conflict, InvalidDocument
from workers import dispatch
from workers.core.arrays import Member, Wanted, faults_of_wanted, members_of
from workers.core.attention import ORDER_LIFE_S
from workers.core.commands import NewCommand
from workers.core.states import COMMAND
from workers.models import Command
from workers.store.holding import free
from workers.store.orders import by_host, stop_order
from workers.store.placing import place_submitted
from workers.store.rows import announce_ended, locked, record

KEYS_PER_QUERY = 500
SAME_UNDER_A_KEY = ("argv", "env", "cwd", "on", "owner", "user", "container", "array_index", "at_once")


def submit(commands: Sequence[NewCommand], now: datetime, submitted_by: Any = None) -> list[Command]:
    """Stores commands and has them placed after commit; returns their rows in the order given.

    A command whose idempotency key is known returns the row of the first. Raises InvalidDocument with every fault, and
    Conflict where a key was used for a different command.
    """
    return submit_wanted([Wanted(command) for command in commands], now, submitted_by)


def submit_array(
    command: NewCommand, array: str, at_once: int, now: datetime, submitted_by: Any = None
) -> list[Command]:
    """Stores a command once for each index of `array`, such as `0-99`; at most `at_once` run at once, 0 for all."""
    return submit_wanted([Wanted(command, array, at_once)], now, submitted_by)


def submit_wanted(wanted: Sequence[Wanted], now: datetime, submitted_by: Any = None) -> list[Command]:
    """As `submit`, for commands of which some are arrays; those return a row for each of their indices."""
    faults = faults_of_wanted(wanted)
    if faults:
        raise InvalidDocument(faults)
    members = members_of(wanted)
    array_ids = {one.position: str(uuid_utils.uuid7()) for one in members if one.index is not None}
    rows = [_row(one, array_ids.get(one.position), now, submitted_by) for one in members]
    keys = [one.command.idempotency_key for one in members if one.command.idempotency_key]
    with transaction.atomic():
        known = _known(keys)
        fresh = _fresh(rows, known)
        keyed = any(row.idempotency_key for row in fresh)
        if not keyed:
            insert_rows(fresh)
        else:
            insert_missing_rows(fresh)
            known = _known(keys)
            fresh = [row for row in fresh if row.id == known.get(row.idempotency_key or "", row).id]
        record(fresh, now, str(submitted_by or ""))
        if fresh:
            place_submitted(len(fresh), now)
        return _all_same([known.get(row.idempotency_key or "", row) for row in rows], rows)


def cancel(command_ids: Sequence[str], now: datetime, actor: str, reason: str) -> None:
    """Cancels what has not been sent and asks the agents to stop the rest; ended commands stay as they are."""
    with transaction.atomic():
        found = Command.objects.unfinished().filter(id__in=list(command_ids), cancel_requested=False)
        commands = list(locked(found.select_related("worker").order_by("id")))
        unsent = [command for command in commands if command.state == "pending"]
        sent = [command for command in commands if command.attempt > command.ended_attempt]
        for command in commands:
            command.cancel_requested, command.reason, command.remind_at = True, reason, None
        for command in sent:
            command.remind_at = now + timedelta(seconds=ORDER_LIFE_S)
        for command in unsent:
            COMMAND.check(command.state, "cancelled")
            command.state, command.ended_at, command.held_by = "cancelled", now, None
        update_rows(commands, ["state", "cancel_requested", "reason", "ended_at", "remind_at", "held_by"])
        free(unsent, now)
        record(unsent, now, actor)
        announce_ended(unsent)
        dispatch.publish_after_commit(by_host((command, stop_order(command)) for command in sent))


def _row(member: Member, array_id: str | None, now: datetime, submitted_by: Any) -> Command:
    command = member.command
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
        output_limit_bytes=command.output_limit_bytes,
        user=command.user,
        memory_mb=command.memory_mb,
        cpu_seconds=command.cpu_seconds,
        open_files=command.open_files,
        container=msgspec.to_builtins(command.container) or {},
        priority=command.priority,
        retries=command.retries,
        retry_delay_s=command.retry_delay_s,
        array_id=array_id,
        array_index=member.index,
        at_once=member.at_once,
        owner=command.owner,
        idempotency_key=command.idempotency_key or None,
        submitted_by=submitted_by,
        created_at=now,
        remind_at=now,
        start_within_s=start_within_s,
        start_by=now + timedelta(seconds=start_within_s),
    )


def _known(keys: Sequence[str]) -> dict[str, Command]:
    found: dict[str, Command] = {}
    for start in range(0, len(keys), KEYS_PER_QUERY):
        rows = Command.objects.filter(idempotency_key__in=keys[start : start + KEYS_PER_QUERY])
        found |= {row.idempotency_key or "": row for row in rows}
    return found


def _fresh(rows: Sequence[Command], known: Mapping[str, Command]) -> list[Command]:
    """The rows to be stored: without a known key, and the first only of a key that is given twice."""
    seen = set(known)
    fresh = []
    for row in rows:
        if row.idempotency_key is None or row.idempotency_key not in seen:
            fresh.append(row)
            seen.add(row.idempotency_key or "")
    return fresh


def _all_same(firsts: list[Command], rows: Sequence[Command]) -> list[Command]:
    """The rows that were stored first under their keys. Raises Conflict where they are of another request."""
    for first, row in zip(firsts, rows, strict=True):
        for name in SAME_UNDER_A_KEY:
            if getattr(first, name) != getattr(row, name):
                key = row.idempotency_key
                raise Conflict(f"the idempotency key {key!r} was used for a command with another {name}")
    arrays = Counter(row.array_id for row in {row.id: row for row in firsts}.values() if row.array_id)
    asked = Counter(row.array_id for row in rows if row.array_id)
    if sorted(arrays.values()) != sorted(asked.values()):
        raise Conflict("the idempotency key was used for an array with other indices")
    return firsts
