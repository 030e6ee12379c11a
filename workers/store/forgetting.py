"""Forgets what has been over for longer than it is kept, a bounded part of it in each step.

Invariant: nothing unfinished goes, nor what something unfinished refers to; a step costs a constant number of queries,
and any number of processes may take steps at once.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from scheduler_project.toolkit import events
from scheduler_project.toolkit.retention import first_id_of, over_before
from workers.core.forgetting import EndedCommand, Forgetting, forgetting
from workers.core.states import COMMAND
from workers.models import Command, CommandAttempt, CommandOutput, ForgottenCommand, Mark, Worker
from workers.signals import forgetting_commands
from workers.store.rows import claimed

log = logging.getLogger(__name__)

COMMANDS_PER_STEP = 1000
OUTPUT_BYTES_PER_STEP = 64 << 20
WORKERS_PER_STEP = 20
WALK = "workers.forget"
READ = ("id", "ended_at", "remind_at", "array_id", "owner", "stdout_bytes", "stderr_bytes", "output_limit_bytes")


def forget(now: datetime) -> None:
    """One step."""
    forget_commands(now)
    forget_workers(now)


def forget_commands(now: datetime) -> None:
    """Forgets ended commands with their attempts and output.

    Walks over the old ones by id, again and again, so that those which must stay hold none of the others up.
    """
    before = over_before(now, settings.SCHEDULER_KEEP_COMMANDS_DAYS)
    if before is None:
        return
    walked, _ = Mark.objects.get_or_create(name=WALK, defaults={"at": now})
    if not walked.position and not _ended(before, "").exists():
        return
    with transaction.atomic():
        mark = claimed(Mark.objects.filter(name=WALK)).first()
        if mark is None:
            return
        rows = list(_ended(before, mark.position).order_by("id").only(*READ)[:COMMANDS_PER_STEP])
        step = _decide(rows, before)
        _delete(step.ids, rows)
        mark.at, mark.position = now, step.position
        mark.save()


def forget_workers(now: datetime) -> None:
    """Forgets workers that have long been away. One that any row refers to stays, and so does a drained one."""
    before = over_before(now, settings.SCHEDULER_KEEP_WORKERS_DAYS)
    if before is None:
        return
    gone = Worker.objects.filter(state="disconnected", draining=False, changed_at__lt=before)
    for relation in Worker._meta.related_objects:
        rows = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
        gone = gone.exclude(Exists(rows))
    if not gone.exists():
        return
    with transaction.atomic():
        workers = list(claimed(gone.order_by("id"))[:WORKERS_PER_STEP])
        Worker.objects.filter(id__in=[worker.id for worker in workers]).delete()
        why = f"disconnected for more than {settings.SCHEDULER_KEEP_WORKERS_DAYS:g} days"
        events.record([events.NewEvent("worker.removed", f"worker:{worker.name}", why) for worker in workers], now)


def records_are_gone(command_ids: Sequence[str]) -> None:
    """Etcd has no records of these forgotten commands any more."""
    ForgottenCommand.objects.filter(id__in=command_ids).delete()


def _ended(before: datetime, position: str) -> QuerySet[Command]:
    return Command.objects.filter(state__in=COMMAND.final, id__gt=position, id__lt=first_id_of(before))


def _decide(rows: Sequence[Command], before: datetime) -> Forgetting:
    owed = CommandAttempt.objects.filter(command__in=[row.id for row in rows], stop_at__isnull=False)
    stopping = set(owed.values_list("command_id", flat=True))
    page = [
        EndedCommand(
            id=row.id,
            ended_at=row.ended_at,
            awaited=row.remind_at is not None or row.id in stopping,
            array_id=row.array_id,
            output_bytes=sum(min(size, row.output_limit_bytes) for size in (row.stdout_bytes, row.stderr_bytes)),
        )
        for row in rows
    ]
    return forgetting(page, before, _needed(rows), _unfinished_arrays(rows), COMMANDS_PER_STEP, OUTPUT_BYTES_PER_STEP)


def _needed(rows: Sequence[Command]) -> set[str]:
    answers = forgetting_commands.send(sender=Command, commands=rows) if rows else []
    return {command_id for _, answer in answers for command_id in answer or ()}


def _unfinished_arrays(rows: Sequence[Command]) -> set[str | None]:
    """An array is forgotten once all of it has ended."""
    arrays = {row.array_id for row in rows if row.array_id}
    return set(Command.objects.unfinished().filter(array_id__in=arrays).values_list("array_id", flat=True).distinct())


def _delete(ids: Sequence[str], rows: Sequence[Command]) -> None:
    if not ids:
        return
    if settings.ETCD_ENDPOINTS:
        going = set(ids)
        ForgottenCommand.objects.bulk_create(
            ForgottenCommand(id=row.id, owner=row.owner) for row in rows if row.id in going
        )
    CommandOutput.objects.filter(command__in=ids).delete()
    CommandAttempt.objects.filter(command__in=ids).delete()
    Command.objects.filter(id__in=ids).only("id").delete()
    log.info("commands.forgotten count=%d", len(ids))
