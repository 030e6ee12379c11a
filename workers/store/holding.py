"""Keeps pending commands back while as many run as may, and lets them go when one of those has ended.

Invariant: a command that is held back names its bound in `held_by` and is due for nothing. Whoever ends a command frees
its places in the same transaction; placing counts again, so what was let go too many is held back again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count

from scheduler_project.toolkit import events
from scheduler_project.toolkit.bulk import update_rows
from workers import dispatch
from workers.core.bounds import Admission, Bound, array_key, bounds_of, submitter_key
from workers.models import Command
from workers.store.rows import BATCH_SIZE, event_of

SENT = ("scheduled", "running")
HELD = ["reason", "remind_at", "held_by", "start_by"]
LET_GO = ["remind_at", "held_by", "start_by"]
KEYS_PER_QUERY = 100


def admit(commands: Sequence[Command], now: datetime) -> list[Command]:
    """Those that may run as far as bounds are concerned; the others are held back.

    Call it with the workers locked, so that no other process places meanwhile.
    """
    bounds = {command.id: _bounds(command) for command in commands}
    if not any(bounds.values()):
        return list(commands)
    admission = Admission(_running(commands))
    admitted, held = [], []
    for command in commands:
        full = admission.admit(bounds[command.id])
        if full is None:
            admitted.append(command)
        else:
            held.append((command, full))
    _hold(held, now)
    _let_go(admission.left(), now)
    return admitted


def free(ended: Iterable[Command], now: datetime) -> None:
    """Lets go of as many held commands as these leave places for. Call it where commands have ended."""
    freed: Counter[str] = Counter()
    for command in ended:
        if command.array_id is not None and command.at_once:
            freed[array_key(command.array_id)] += 1
        if command.submitted_by_id is not None:
            freed[submitter_key(command.submitted_by_id)] += 1
    _let_go(freed, now)


def let_go_of_submitter(submitter: int, now: datetime) -> None:
    """Lets go of all that a user has waiting, as one that is deleted has no bound any more."""
    start_by = now + timedelta(seconds=settings.SCHEDULER_START_WITHIN_S)
    held = Command.objects.filter(held_by=submitter_key(submitter), state="pending")
    held.update(held_by=None, remind_at=now, start_by=start_by)


def _bounds(command: Command) -> list[Bound]:
    most = settings.SCHEDULER_MAX_RUNNING_PER_SUBMITTER
    return bounds_of(command.array_id, command.at_once, command.submitted_by_id, most)


def _running(commands: Sequence[Command]) -> dict[str, int]:
    arrays = {command.array_id for command in commands if command.array_id is not None and command.at_once}
    submitters = {command.submitted_by_id for command in commands if command.submitted_by_id is not None}
    sent = Command.objects.filter(state__in=SENT).order_by()
    counts: dict[str, int] = {}
    if arrays:
        found = sent.filter(array_id__in=arrays).values_list("array_id").annotate(Count("id"))
        counts |= {array_key(array_id or ""): count for array_id, count in found}
    if submitters and settings.SCHEDULER_MAX_RUNNING_PER_SUBMITTER:
        found_too = sent.filter(submitted_by_id__in=submitters).values_list("submitted_by_id").annotate(Count("id"))
        counts |= {submitter_key(submitter or 0): count for submitter, count in found_too}
    return counts


def _hold(held: Sequence[tuple[Command, Bound]], now: datetime) -> None:
    """Its time to start begins anew when its turn has come."""
    news = [command for command, bound in held if command.reason != bound.reason]
    for command, bound in held:
        command.reason, command.held_by = bound.reason, bound.key
        command.remind_at = command.start_by = None
    update_rows([command for command, _ in held], HELD)
    events.record([event_of(command, name="command.waiting") for command in news], now)


def _let_go(places: Mapping[str, int], now: datetime) -> None:
    if not places:
        return
    keys = list(places.items())
    for start in range(0, len(keys), KEYS_PER_QUERY):
        commands = _first_held(keys[start : start + KEYS_PER_QUERY])
        for command in commands:
            command.held_by, command.remind_at = None, now
            command.start_by = now + timedelta(seconds=command.start_within_s)
        update_rows(commands, LET_GO)
        if commands:
            dispatch.wake_after_commit()


def _first_held(places: Sequence[tuple[str, int]]) -> list[Command]:
    """The first of those held by each key, as many as there are places, in one query however many keys there are.

    Those that another process works on are passed over: whoever places next lets go of what is left.
    """
    table = connection.ops.quote_name(Command._meta.db_table)
    lock = "FOR NO KEY UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    part = (
        f"SELECT * FROM (SELECT id, start_within_s FROM {table} WHERE held_by = %s AND state = 'pending' "  # noqa: S608
        f"ORDER BY priority DESC, id LIMIT %s {lock}) AS part{{}}"
    )
    query = " UNION ALL ".join(part.format(number) for number in range(len(places)))
    values = [value for key, count in places for value in (key, min(count, BATCH_SIZE))]
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [Command(id=id, start_within_s=start_within_s) for id, start_within_s in cursor.fetchall()]
