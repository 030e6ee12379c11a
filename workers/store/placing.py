"""Gives pending commands to workers.

Invariant: a command is sent under an attempt that its row already carries when the order leaves.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count

from scheduler_project.toolkit import events
from scheduler_project.toolkit.bulk import update_rows
from workers import dispatch
from workers.core.attention import ORDER_LIFE_S, place_again_at
from workers.core.placement import SCORERS, Host, Placement, Request, place
from workers.core.states import COMMAND
from workers.models import Command, Worker
from workers.store.orders import by_host, run_order
from workers.store.rows import BATCH_SIZE, announce_ended, claimed, event_of, locked, record

PLACED = ["state", "attempt", "worker", "reason", "scheduled_at", "accepted_at", "remind_at", "ack_by"]
WAITING = ["reason", "remind_at"]
TOO_LATE = ["state", "reason", "ended_at", "remind_at"]


def place_pending(now: datetime) -> int:
    """Places the pending commands that are due, one batch of them; returns how many it looked at."""
    due = Command.objects.filter(state="pending", remind_at__lte=now)
    if not due.exists():
        return 0
    with transaction.atomic():
        commands = list(claimed(due.order_by("remind_at", "id"))[:BATCH_SIZE])
        late = [command for command in commands if command.start_by is not None and command.start_by <= now]
        timely = [command for command in commands if command.start_by is None or command.start_by > now]
        workers = {worker.id: worker for worker in locked(Worker.objects.order_by("id"))}
        hosts = [_host(worker, load) for worker, load in _with_loads(workers)]
        requests = [Request(command.id, on=command.on, avoid=command.worker_id or "") for command in timely]
        placements, given = place(requests, hosts, SCORERS[settings.SCHEDULER_PLACEMENT])
        _write_turns(workers, given)
        _write(timely, placements, workers, now)
        _give_up(late, now)
    return len(commands)


def _with_loads(workers: Mapping[str, Worker]) -> list[tuple[Worker, int]]:
    """Each worker with its number of unfinished commands, counted only for a scorer that asks for it."""
    if settings.SCHEDULER_PLACEMENT != "least_loaded":
        return [(worker, 0) for worker in workers.values()]
    sent = Command.objects.filter(state__in=["scheduled", "running"]).order_by()
    loads = dict(sent.values_list("worker").annotate(Count("id")))
    return [(worker, loads.get(worker.id, 0)) for worker in workers.values()]


def _host(worker: Worker, load: int) -> Host:
    return Host(
        id=worker.id,
        name=worker.name,
        connected=worker.state == "connected",
        draining=worker.draining,
        labels=worker.labels,
        facts=worker.facts,
        load=load,
        turn=worker.turn,
    )


def _write_turns(workers: Mapping[str, Worker], given: Sequence[Host]) -> None:
    for host in given:
        workers[host.id].turn = host.turn
    update_rows([workers[host.id] for host in given], ["turn"])


def _write(
    commands: Sequence[Command], placements: Sequence[Placement], workers: Mapping[str, Worker], now: datetime
) -> None:
    sent, waiting, news = [], [], []
    for command, placement in zip(commands, placements, strict=True):
        if placement.host_id is not None:
            sent.append(_schedule(command, workers[placement.host_id], now))
            continue
        waiting.append(command)
        if command.reason != placement.reason:
            news.append(command)
        command.reason, command.remind_at = placement.reason, place_again_at(command.created_at, now)
    update_rows(sent, PLACED)
    update_rows(waiting, WAITING)
    record(sent, now)
    events.record([event_of(command, name="command.waiting") for command in news], now)
    dispatch.publish_after_commit(by_host((command, run_order(command)) for command in sent))


def _schedule(command: Command, worker: Worker, now: datetime) -> Command:
    COMMAND.check(command.state, "scheduled")
    command.state, command.attempt, command.worker, command.reason = "scheduled", command.attempt + 1, worker, ""
    command.scheduled_at, command.accepted_at = now, None
    command.remind_at = command.ack_by = now + timedelta(seconds=ORDER_LIFE_S)
    return command


def _give_up(commands: Sequence[Command], now: datetime) -> None:
    for command in commands:
        COMMAND.check(command.state, "dead")
        waited_s = (now - command.created_at).total_seconds()
        why = command.reason or "nothing placed commands in that time"
        command.state, command.ended_at, command.remind_at = "dead", now, None
        command.reason = f"no worker took it within {waited_s:.0f} s: {why}"
    update_rows(commands, TOO_LATE)
    record(commands, now)
    announce_ended(commands)
