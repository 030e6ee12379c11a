"""Repairs whatever messages or processes failed to do, from the rows alone.

Invariant: a tick costs a constant number of queries, and any number of processes may sweep at once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from scheduler_project.toolkit import events
from scheduler_project.toolkit.bulk import update_rows
from workers import dispatch
from workers.core.attention import STATE_AFTER, Attention, Quiet, Step, attend
from workers.core.states import COMMAND
from workers.models import Command, CommandAttempt, Mark
from workers.store.holding import free
from workers.store.orders import by_host, merged, queries, run_order, stop_order
from workers.store.placing import place_pending, tell_waiting
from workers.store.registry import disconnect_silent, forgive_silence
from workers.store.retrying import RETRIED, keep, retry, stop_given_up
from workers.store.rows import BATCH_SIZE, announce_ended, claimed, event_of, record
from workers.store.trust import prune

DEAF_AFTER_S = 5
ATTENDED = ["state", "reason", "ended_at", "remind_at", "ack_by"]


def sweep(now: datetime) -> None:
    """One tick: silence, quiet commands, pending commands, what may be forgotten."""
    if _was_deaf(now):
        forgive_silence(now)
    disconnect_silent(now)
    attend_quiet(now)
    stop_given_up(now)
    if place_pending(now):
        dispatch.wake()
    else:
        tell_waiting(now)
    prune(now)


def attend_quiet(now: datetime) -> None:
    """Attends to the sent commands that are due, one batch of them."""
    sent = Q(state__in=["scheduled", "running"]) | Q(state__in=COMMAND.final)
    due = Command.objects.filter(sent, remind_at__lte=now)
    if not due.exists():
        return
    with transaction.atomic():
        commands = list(claimed(due.select_related("worker").order_by("remind_at", "id"))[:BATCH_SIZE])
        attentions = [attend(_quiet(command), now, settings.SCHEDULER_LOST_AFTER_S) for command in commands]
        tried = [_apply(command, attention, now) for command, attention in zip(commands, attentions, strict=True)]
        keep([attempt for attempt in tried if attempt is not None])
        again = [command for command, attempt in zip(commands, tried, strict=True) if attempt is not None]
        others = [command for command, attempt in zip(commands, tried, strict=True) if attempt is None]
        moved = [
            command
            for command, attention, attempt in zip(commands, attentions, tried, strict=True)
            if attention.step in STATE_AFTER and attempt is None
        ]
        update_rows(others, ATTENDED)
        update_rows(again, RETRIED)
        record(moved, now)
        events.record([event_of(command, name="command.retrying") for command in again], now)
        announce_ended(moved)
        free([*moved, *again], now)
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


def _apply(command: Command, attention: Attention, now: datetime) -> CommandAttempt | None:
    """Carries a decision out on the row; returns the attempt that ended where another follows."""
    command.remind_at = attention.remind_at
    command.ack_by = attention.remind_at if attention.step is Step.SEND else None
    if attention.step not in STATE_AFTER:
        return None
    before, state = command.state, STATE_AFTER[attention.step]
    COMMAND.check(before, state)
    command.state, command.reason, command.ended_at = state, attention.reason, now
    return retry(command, before, now, stop_at=attention.remind_at)


def _send(commands: Sequence[Command], attentions: Sequence[Attention]) -> None:
    steps = list(zip(commands, attentions, strict=True))
    again = by_host((command, run_order(command)) for command, attention in steps if attention.step is Step.SEND)
    stops = by_host((command, stop_order(command)) for command, attention in steps if attention.step is Step.STOP)
    asked = queries([command for command, attention in steps if attention.step is Step.ASK])
    dispatch.publish_after_commit(merged(again, stops, asked))
