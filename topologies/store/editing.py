"""Creates, changes, pauses, unpauses and deletes topologies."""

from datetime import datetime
from typing import Literal

from django.db import IntegrityError, transaction

from scheduler_project.toolkit.errors import Conflict
from scheduler_project.toolkit.events import record
from topologies.core.grammar import TopologySpec
from topologies.core.states import TOPOLOGY
from topologies.core.triggers import ManualTrigger, Trigger
from topologies.models import Topology
from topologies.store.rows import locked, topology_event, topology_named

Saved = Literal["created", "changed", "unchanged"]


def create(spec: TopologySpec, now: datetime, actor: str) -> Topology:
    """A new topology, active. Raises Conflict where there is one of that name."""
    document = spec.document()
    try:
        with transaction.atomic():
            topology = Topology.objects.create(
                name=spec.name,
                spec=document,
                overlap=spec.overlap,
                next_run_at=spec.trigger.next_after(now),
                created_at=now,
                updated_at=now,
            )
            record([topology_event(topology, "created", actor)], now)
    except IntegrityError as error:
        raise Conflict(f"there is a topology {spec.name} already; change it, or delete it first") from error
    return topology


def update(spec: TopologySpec, now: datetime, actor: str) -> Topology:
    """Makes the present topology of that name as the specification says; runs in progress go on as they began.

    A due fire of a trigger that stays the same is not lost. Raises NotFound.
    """
    with transaction.atomic():
        topology = topology_named(spec.name)
        _change(topology, spec, now, actor)
    return topology


def save(spec: TopologySpec, now: datetime, actor: str) -> tuple[Topology, Saved]:
    """Creates the topology, or makes the present one of that name as the specification says."""
    with transaction.atomic():
        topology = locked(Topology.objects.present().filter(name=spec.name)).first()
        if topology is None:
            return create(spec, now, actor), "created"
        return topology, _change(topology, spec, now, actor)


def _change(topology: Topology, spec: TopologySpec, now: datetime, actor: str) -> Saved:
    document = spec.document()
    if topology.spec == document:
        return "unchanged"
    if topology.trigger != spec.trigger:
        topology.next_run_at = spec.trigger.next_after(now) if topology.state == "active" else None
        topology.reason = ""
    topology.spec, topology.overlap = document, spec.overlap
    topology.version += 1
    topology.updated_at = now
    topology.save()
    record([topology_event(topology, "changed", actor)], now)
    return "changed"


def pause(name: str, now: datetime, actor: str) -> Topology:
    """Fires no more until it is unpaused; a run in progress goes on. Does nothing to a paused one. Raises NotFound."""
    with transaction.atomic():
        topology = topology_named(name)
        if topology.state != "paused":
            _move(topology, "paused", f"paused by {actor or 'the system'}", None, now, actor)
    return topology


def unpause(name: str, now: datetime, actor: str) -> Topology:
    """Fires again, from now on: what was due meanwhile is not made up. Raises NotFound."""
    with transaction.atomic():
        topology = topology_named(name)
        if topology.state != "active":
            next_at = topology.trigger.next_after(now)
            _move(topology, "active", idle_reason(topology.trigger, next_at), next_at, now, actor)
    return topology


def delete(name: str, now: datetime, actor: str) -> Topology:
    """Fires no more and frees its name. Its runs are kept, and those in progress go on. Raises NotFound."""
    with transaction.atomic():
        topology = topology_named(name)
        going_on = topology.runs.in_progress().count()
        reason = f"deleted by {actor or 'the system'}"
        if going_on:
            reason += f"; runs in progress go on: {going_on}. Kill them one by one if they shall not"
        _move(topology, "deleted", reason, None, now, actor)
    return topology


def _move(topology: Topology, state: str, reason: str, next_run_at: datetime | None, now: datetime, actor: str) -> None:
    TOPOLOGY.check(topology.state, state)
    topology.state, topology.reason = state, reason
    topology.next_run_at, topology.updated_at = next_run_at, now
    topology.save(update_fields=["state", "reason", "next_run_at", "updated_at"])
    what = "unpaused" if state == "active" else state
    record([topology_event(topology, what, actor)], now)


def idle_reason(trigger: Trigger, next_at: datetime | None) -> str:
    """Why an active topology never fires again; empty for one that does, or that only fires by hand."""
    if next_at is not None or isinstance(trigger, ManualTrigger):
        return ""
    return "its last fire is over; it runs only by hand, until its trigger is changed"
