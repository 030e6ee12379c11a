"""Repairs whatever messages or processes failed to do, from the rows alone.

Invariant: a tick costs a constant number of queries, and any number of processes may sweep at once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from scheduler_project.toolkit.bulk import update_rows
from workers import dispatch
from workers.core.attention import Attention, Quiet, Step, attend
from workers.core.states import COMMAND
from workers.models import Command, Mark
from workers.store.orders import by_host, merged, queries, run_order, stop_order
from workers.store.placing import place_pending, tell_waiting
from workers.store.registry import disconnect_silent, forgive_silence
from workers.store.rows import BATCH_SIZE, announce_ended, claimed, record

DEAF_AFTER_S = 5
STATE_AFTER = {Step.PLACE: "pending", Step.CANCEL: "cancelled", Step.DEAD: "dead"}
ATTENDED = ["state", "reason", "ended_at", "remind_at", "accepted_at"]


def sweep(now: datetime) -> None:
    """One tick: silence, quiet commands, pending commands."""
    if _was_deaf(now):
        forgive_silence(now)
    disconnect_silent(now)
    attend_quiet(now)
    if place_pending(now):
        dispatch.wake()
    else:
        tell_waiting(now)


def attend_quiet(now: datetime) -> None:
    """Attends to the sent commands that are due, one batch of them."""
    sent = Q(state__in=["scheduled", "running"]) | Q(state__in=COMMAND.final)
    due = Command.objects.filter(sent, remind_at__lte=now)
    if not due.exists():
        return
    with transaction.atomic():
        commands = list(claimed(due.select_related("worker").order_by("remind_at", "id"))[:BATCH_SIZE])
        attentions = [attend(_quiet(command), now, settings.SCHEDULER_LOST_AFTER_S) for command in commands]
        moved = [
            _move(command, attention, now)
            for command, attention in zip(commands, attentions, strict=True)
            if attention.step in STATE_AFTER
        ]
        for command, attention in zip(commands, attentions, strict=True):
            command.remind_at = attention.remind_at
        update_rows(commands, ATTENDED)
        record(moved, now)
        announce_ended([command for command in moved if command.state in COMMAND.final])
        _send(commands, attentions)


def _was_deaf(now: datetime) -> bool:
    """Whether nothing swept for a while: then agents were silent only because nobody listened."""
    mark, _ = Mark.objects.get_or_create(name="workers.sweep", defaults={"at": now})
    Mark.objects.filter(name=mark.name, at__lt=now).update(at=now)
    return now - mark.at > timedelta(seconds=DEAF_AFTER_S)


def _quiet(command: Command) -> Quiet:
    worker = command.worker
    connected = worker is not None and worker.state == "connected"
    return Quiet(
        state=command.state,
        accepted=command.accepted_at is not None,
        cancel_requested=command.cancel_requested,
        worker=worker.name if worker else "",
        connected=connected,
        gone_at=worker.changed_at if worker and not connected else None,
        start_by=command.start_by,
        run_by=command.run_by,
        reason=command.reason,
    )


def _move(command: Command, attention: Attention, now: datetime) -> Command:
    state = STATE_AFTER[attention.step]
    COMMAND.check(command.state, state)
    command.state, command.reason = state, attention.reason
    if state in COMMAND.final:
        command.ended_at = now
    else:
        command.accepted_at = None
    return command


def _send(commands: Sequence[Command], attentions: Sequence[Attention]) -> None:
    steps = list(zip(commands, attentions, strict=True))
    again = by_host((command, run_order(command)) for command, attention in steps if attention.step is Step.SEND)
    stops = by_host((command, stop_order(command)) for command, attention in steps if attention.step is Step.STOP)
    asked = queries([command for command, attention in steps if attention.step is Step.ASK])
    dispatch.publish_after_commit(merged(again, stops, asked))
