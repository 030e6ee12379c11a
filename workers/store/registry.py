"""Writes the registry: heartbeats, silence, draining, removal.

Invariant: `draining` is the operator's and no heartbeat changes it; one name has one row and one session.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from scheduler_project.toolkit import events
from scheduler_project.toolkit.bulk import update_rows
from scheduler_project.toolkit.errors import Conflict, NotFound
from workers import dispatch
from workers.core.registry import Claim, Judgement, Known, forgets, judge, newest, next_fence
from workers.models import Command, CommandAttempt, Worker
from workers.protocol import Admitted, Heartbeat, Order, SetDraining, Superseded
from workers.store.rows import BATCH_SIZE, claimed, locked
from workers.units import host_lost_listeners

logger = logging.getLogger(__name__)
STOPPED = "stopped by its operator"
STATED = [
    "address",
    "version",
    "labels",
    "facts",
    "slots",
    "running",
    "refused_messages",
    "last_seen_at",
    "silent_at",
]
REFUSING = frozenset({Claim.REFUSED, Claim.SUPERSEDED})
CONNECTING = frozenset({Claim.NEW, Claim.RETURNED, Claim.RESTARTED, Claim.TAKEN_OVER, Claim.RENAMED})


def apply_heartbeats(heartbeats: Sequence[Heartbeat], now: datetime) -> None:
    """Notes that agents live or stop; registers those that are new.

    All that only say that they still live cost one transaction together; each of the others has its own.
    """
    for heartbeat in _note_alive(newest(heartbeats), now):
        _apply_alone(heartbeat, now)


def _note_alive(heartbeats: Sequence[Heartbeat], now: datetime) -> list[Heartbeat]:
    """Applies those that change neither who holds a name nor its state. Returns the others."""
    others: list[Heartbeat] = []
    with transaction.atomic():
        rows = locked(Worker.objects.connected().filter(name__in=[one.host for one in heartbeats]).order_by("id"))
        by_name = {row.name: row for row in rows}
        alive: list[Worker] = []
        for heartbeat in heartbeats:
            row = by_name.get(heartbeat.host)
            if row is None or heartbeat.stopping or judge(heartbeat, _known(row), None).claim is not Claim.ALIVE:
                others.append(heartbeat)
                continue
            _take_over_facts(row, heartbeat, now)
            alive.append(row)
        update_rows(alive, STATED)
    return others


def _apply_alone(heartbeat: Heartbeat, now: datetime) -> None:
    try:
        _apply_heartbeat(heartbeat, now)
    except IntegrityError:
        logger.info("heartbeat.registered_elsewhere host=%s", heartbeat.host)


def _apply_heartbeat(heartbeat: Heartbeat, now: datetime) -> None:
    """Raises IntegrityError where another process registers the same worker at this moment; its heartbeat counts."""
    with transaction.atomic():
        rows = locked(Worker.objects.filter(Q(name=heartbeat.host) | Q(id=heartbeat.worker_id)).order_by("id"))
        found = list(rows)
        by_name = next((row for row in found if row.name == heartbeat.host), None)
        by_id = next((row for row in found if row.id == heartbeat.worker_id), None)
        judgement = judge(heartbeat, _known(by_name), _known(by_id))
        if judgement.claim in REFUSING:
            _refuse(by_name or by_id, heartbeat, judgement, now)
            return
        worker = _claim(by_name or by_id, heartbeat, judgement, now)
    if judgement.claim in CONNECTING and worker.state == "connected":
        _ask_for_work(worker, now)


def disconnect_silent(now: datetime) -> None:
    """Disconnects the workers that were not heard in time and tells the listeners."""
    silent = Worker.objects.connected().filter(silent_at__lte=now)
    if not silent.exists():
        return
    with transaction.atomic():
        workers = list(claimed(silent.order_by("id"))[:BATCH_SIZE])
        for worker in workers:
            _leave(worker, f"nothing heard for {(now - worker.last_seen_at).total_seconds():.1f} s", now)
        update_rows(workers, ["state", "reason", "changed_at"])
        _tell_lost(workers, now)


def expel(name: str, reason: str, now: datetime) -> None:
    """Disconnects a worker at once, as one that is lost. Call it in a transaction; an unknown name is no error."""
    worker = locked(Worker.objects.connected().filter(name=name)).first()
    if worker is None:
        return
    _leave(worker, reason, now)
    worker.save(update_fields=["state", "reason", "changed_at"])
    _tell_lost([worker], now)


def forgive_silence(now: datetime) -> None:
    """Gives all connected workers their full time again: it was the control side that did not listen."""
    Worker.objects.connected().update(silent_at=_silent_at(now))


def set_draining(name: str, draining: bool, now: datetime, actor: str) -> Worker:
    """Has a worker take nothing new, or take work again. Raises NotFound."""
    with transaction.atomic():
        worker = _get(name)
        if worker.draining == draining:
            return worker
        worker.draining = draining
        worker.save(update_fields=["draining"])
        event = events.NewEvent("worker.draining" if draining else "worker.undrained", f"worker:{name}", actor=actor)
        events.record([event], now)
        dispatch.publish_after_commit({name: [SetDraining(draining=draining)]})
    if not draining:
        _ask_for_work(worker, now)
    return worker


def remove(name: str, now: datetime, actor: str) -> None:
    """Forgets a disconnected worker. Raises NotFound, and Conflict while it is connected."""
    with transaction.atomic():
        worker = _get(name)
        if worker.state == "connected":
            raise Conflict(f"{name} is connected; stop its agent first")
        worker.delete()
        events.record([events.NewEvent("worker.removed", f"worker:{name}", actor=actor)], now)


def _get(name: str) -> Worker:
    worker = locked(Worker.objects.filter(name=name)).first()
    if worker is None:
        raise NotFound(f"there is no worker {name}")
    return worker


def _known(row: Worker | None) -> Known | None:
    if row is None:
        return None
    connected = row.state == "connected"
    return Known(row.id, row.name, row.session, row.session_started_at, connected, row.stopped, row.journal)


def _refuse(row: Worker | None, heartbeat: Heartbeat, judgement: Judgement, now: datetime) -> None:
    """Recorded once for each session; one that was followed by another is told each time, until it has heard it."""
    if judgement.claim is Claim.SUPERSEDED:
        told = Superseded(session=heartbeat.session, reason=judgement.reason)
        dispatch.publish_after_commit({heartbeat.host: [told]})
    if row is None or row.refused_session == heartbeat.session:
        return
    row.refused_session = heartbeat.session
    row.save(update_fields=["refused_session"])
    message = f"session {heartbeat.session} at {heartbeat.address} is refused: {judgement.reason}"
    events.record([events.NewEvent("worker.refused", f"worker:{row.name}", message, "warning")], now)


def _claim(row: Worker | None, heartbeat: Heartbeat, judgement: Judgement, now: datetime) -> Worker:
    worker = row or Worker(id=heartbeat.worker_id, name=heartbeat.host, registered_at=now, changed_at=now)
    if forgets(heartbeat, _known(row)):
        _strand(worker, now)
    if worker.id != heartbeat.worker_id:
        _change_id(worker, heartbeat.worker_id)
    was_connected = row is not None and row.state == "connected"
    followed = worker.session if was_connected and worker.session != heartbeat.session else ""
    _take_over_facts(worker, heartbeat, now)
    if heartbeat.stopping:
        worker.state, worker.reason, worker.stopped = "disconnected", STOPPED, True
    elif judgement.claim in CONNECTING:
        worker.state, worker.reason = "connected", judgement.reason
    if was_connected != (worker.state == "connected"):
        worker.changed_at = now
    worker.save(force_insert=row is None)
    if judgement.claim in CONNECTING and not heartbeat.stopping:
        data = {"claim": judgement.claim.value, "session": worker.session, "fence": worker.fence, "followed": followed}
        _record(worker, "worker.connected", "info", data, now)
        _admit(worker, followed)
    if heartbeat.stopping and was_connected:
        _tell_lost([worker], now)
    return worker


def _admit(worker: Worker, followed: str) -> None:
    """Tells the new session its token and whether it drains, and the one that it follows, if it still lives, why."""
    orders: list[Order] = [
        Admitted(session=worker.session, fence=worker.fence),
        SetDraining(draining=worker.draining),
    ]
    if followed:
        reason = f"a newer agent at {worker.address} holds the name, with the fencing token {worker.fence}"
        orders.append(Superseded(session=followed, reason=reason))
    dispatch.publish_after_commit({worker.name: orders})


def _take_over_facts(worker: Worker, heartbeat: Heartbeat, now: datetime) -> None:
    if worker.session != heartbeat.session:
        worker.session, worker.session_started_at = heartbeat.session, heartbeat.started_at
        worker.journal = heartbeat.journal
        worker.fence = next_fence(worker.fence, now)
        worker.applied_seq, worker.gap_seq, worker.stopped = 0, 0, False
    worker.name = heartbeat.host
    worker.address, worker.version = heartbeat.address, heartbeat.version
    worker.labels, worker.facts = heartbeat.labels, heartbeat.facts
    worker.slots, worker.running = heartbeat.slots, heartbeat.running
    worker.refused_messages = heartbeat.refused
    worker.last_seen_at, worker.silent_at = now, _silent_at(now)


def _strand(worker: Worker, now: datetime) -> None:
    """Takes from a worker whose journal is lost what was sent to it and never acknowledged: sent again, it could run
    twice.
    """
    unknown = Command.objects.filter(worker=worker, state="scheduled", accepted_at=None)
    unknown.update(worker=None, remind_at=now)


def _change_id(worker: Worker, new_id: str) -> None:
    """Another machine took over the name: the row and all that refers to it go on under the new id.

    Foreign keys are checked at commit on all supported databases.
    """
    for relation in Worker._meta.related_objects:
        rows = relation.related_model._base_manager.filter(**{relation.field.name: worker.id})
        rows.update(**{relation.field.attname: new_id})
    Worker.objects.filter(id=worker.id).update(id=new_id)
    worker.id = new_id


def _ask_for_work(worker: Worker, now: datetime) -> None:
    """Has what waits placed at once, and the commands that the worker was given sent again or asked after."""
    with transaction.atomic():
        Command.objects.filter(state="pending", remind_at__gt=now).update(remind_at=now)
        Command.objects.filter(worker=worker, remind_at__gt=now).exclude(state="pending").update(remind_at=now)
        CommandAttempt.objects.filter(worker=worker, stop_at__gt=now).update(stop_at=now)
        dispatch.wake_after_commit()


def _leave(worker: Worker, reason: str, now: datetime) -> None:
    worker.state, worker.reason, worker.changed_at = "disconnected", reason, now


def _tell_lost(workers: Sequence[Worker], now: datetime) -> None:
    for worker in workers:
        _record(worker, "worker.disconnected", "warning", {"session": worker.session}, now)
        for listener in host_lost_listeners():
            listener(worker.name, worker.reason, now)


def _record(worker: Worker, name: str, level: str, data: dict[str, Any], now: datetime) -> None:
    events.record([events.NewEvent(name, f"worker:{worker.name}", worker.reason, level, data)], now)


def _silent_at(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.SCHEDULER_SILENCE_TIMEOUT_S)
