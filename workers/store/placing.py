"""Gives pending commands to workers.

Invariant: a command is sent under an attempt that its row already carries when the order leaves.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import random

from django.db import connection, transaction
from django.db.models import Count, Q
from msgspec.structs import replace

from scheduler_project.toolkit import events
from scheduler_project.toolkit.bulk import update_rows
from workers import dispatch
from workers.core.attention import ORDER_LIFE_S, place_again_at
from workers.core.containers import EXECUTOR
from workers.core.hosts import Host
from workers.core.placement import Placement, Request, place
from workers.core.states import COMMAND
from workers.models import Command, CommandQuerySet, Worker
from workers.placement import scorer
from workers.store.holding import admit, free
from workers.store.orders import by_host, run_order
from workers.store.rows import BATCH_SIZE, announce_ended, claimed, event_of, locked, read_in_order, record

logger = logging.getLogger(__name__)
PLACED = ["state", "attempt", "worker", "reason", "scheduled_at", "accepted_at", "remind_at", "ack_by"]
WAITING = ["reason", "remind_at"]
PLACED_AT_ONCE_MAX = 50
TOO_LATE = ["state", "reason", "ended_at", "remind_at"]


def place_pending(now: datetime) -> bool:
    """Places pending commands that are due, one batch of them; tells whether more of them may be placed at once.

    Where no worker takes work none is placed, and a batch at each tick is told so.
    """
    return due(now).exists() and _place_first(now)


def _place_first(now: datetime) -> bool:
    with transaction.atomic():
        crew = _muster()
        limit = crew.room()
        return limit > 0 and _place(due(now), crew, limit, now, again_at=None) == limit and bool(crew.taking)


def place_submitted(count: int, now: datetime) -> None:
    """Has so many commands placed that the open transaction submits.

    A few are placed by the submitter itself, which is quicker than any message: in its own transaction, or after that
    of its caller, who may hold it open for long. Where that fails the sweeper does it.
    """
    if count > PLACED_AT_ONCE_MAX:
        dispatch.wake_after_commit()
    elif connection.savepoint_ids:
        transaction.on_commit(partial(_place_at_once, now), robust=True)
    else:
        _try_to_place(now)


def _place_at_once(now: datetime) -> None:
    if _place_first(now):
        dispatch.wake_after_commit()


def _try_to_place(now: datetime) -> None:
    """What was submitted stands, whatever hinders its being placed."""
    try:
        _place_at_once(now)
    except Exception:
        logger.exception("commands.not_placed")


def tell_waiting(now: datetime) -> None:
    """Has those that wait for a slot say so, and those that waited too long end; one batch of them."""
    untold = due(now).filter(Q(reason="") | Q(start_by__lte=now))
    if untold.exists():
        with transaction.atomic():
            _place(untold, _muster(), BATCH_SIZE, now, again_at=now)


@dataclass(frozen=True)
class _Crew:
    """All workers while their rows are locked: as rows by id, and as placement sees them."""

    workers: Mapping[str, Worker]
    hosts: Sequence[Host]

    def room(self) -> int:
        """How many commands are read at most. Without a worker that takes work a batch: each is told why it waits.

        A backlog that waits for slots is thereby not read again and again: what is read is what can be placed.
        """
        return int(min(sum(map(scorer().room, self.taking)), BATCH_SIZE)) if self.taking else BATCH_SIZE

    @property
    def taking(self) -> list[Host]:
        """Those that something new may be placed on."""
        return [host for host in self.hosts if host.connected and not host.draining]


def _muster() -> _Crew:
    """Waits for the workers' locks. Whoever holds them may lock pending commands only where nobody else does."""
    workers = {worker.id: worker for worker in locked(Worker.objects.order_by("id"))}
    loads = _loads()
    return _Crew(workers, [_host(worker, loads.get(worker.id, 0)) for worker in workers.values()])


def due(now: datetime) -> CommandQuerySet:
    """The pending commands that may be placed now."""
    not_yet = Q(not_before__gt=now)
    return Command.objects.filter(~not_yet, state="pending", remind_at__lte=now)


def _place(waiting: CommandQuerySet, crew: _Crew, limit: int, now: datetime, again_at: datetime | None) -> int:
    """Places the first of those that are due, the highest priority first; returns how many it looked at.

    `again_at` as in `_write`.
    """
    read_in_order()
    commands = list(claimed(waiting.order_by("-priority", "remind_at", "id"))[:limit])
    late = [command for command in commands if command.start_by is not None and command.start_by <= now]
    timely = [command for command in commands if command.start_by is None or command.start_by > now]
    timely = admit(timely, now)
    requests = [_request(command) for command in timely]
    placements, given = place(requests, crew.hosts, scorer(), random)
    _write_turns(crew.workers, given)
    _write(timely, placements, crew.workers, now, again_at)
    _give_up(late, now)
    return len(commands)


def _request(command: Command) -> Request:
    executor = EXECUTOR if command.container else ""
    return Request(command.id, on=command.on, executor=executor, avoid=command.worker_id or "")


def _loads() -> dict[str | None, int]:
    """How many commands each worker was given and has not ended, by its id."""
    sent = Command.objects.filter(state__in=["scheduled", "running"]).order_by()
    return dict(sent.values_list("worker").annotate(Count("id")))


def _host(worker: Worker, load: int) -> Host:
    return Host(
        id=worker.id,
        name=worker.name,
        connected=worker.state == "connected",
        draining=worker.draining,
        labels=worker.labels,
        facts=worker.facts,
        slots=worker.slots,
        load=load,
        turn=worker.turn,
    )


def _write_turns(workers: Mapping[str, Worker], given: Sequence[Host]) -> None:
    for host in given:
        workers[host.id].turn = host.turn
    update_rows([workers[host.id] for host in given], ["turn"])


def _write(
    commands: Sequence[Command],
    placements: Sequence[Placement],
    workers: Mapping[str, Worker],
    now: datetime,
    again_at: datetime | None,
) -> None:
    """`again_at`: when those are looked at again that wait; None where that depends on how long they have waited."""
    sent, waiting, news = [], [], []
    said = []
    for command, placement in zip(commands, placements, strict=True):
        if placement.host_id is not None:
            worker = workers[placement.host_id]
            sent.append(_schedule(command, worker, now))
            said.append(replace(event_of(command), message=f"{worker.name}: {placement.reason}"))
            continue
        waiting.append(command)
        if command.reason != placement.reason:
            news.append(command)
        command.reason = placement.reason
        command.remind_at = again_at or place_again_at(command.created_at, now)
    update_rows(sent, PLACED)
    update_rows(waiting, WAITING)
    events.record([*said, *(event_of(command, name="command.waiting") for command in news)], now)
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
    free(commands, now)
