"""Fires what is due. Any number of processes may do so at once: each fire becomes one run, whoever is first."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction

from scheduler_project.toolkit.events import NewEvent, record
from topologies.core.errors import TopologyError
from topologies.core.fire import Due, Fire, Firing, decide, in_progress
from topologies.models import Run, Topology
from topologies.store.editing import idle_reason
from topologies.store.rows import BATCH, claimed, new_run_id, start

BATCHES_PER_TICK = 5


def fire_due(now: datetime) -> int:
    """Fires up to 500 topologies whose time has come, the longest waiting first. Returns how many were looked at."""
    total = 0
    for _ in range(BATCHES_PER_TICK):
        if not Topology.objects.due(now).exists():
            break
        total += _fire_batch(now)
    return total


def _fire_batch(now: datetime) -> int:
    """One short transaction."""
    with transaction.atomic():
        topologies = list(claimed(Topology.objects.due(now))[:BATCH])
        running = _runs_in_progress(topologies)
        runs: list[tuple[Run, Topology]] = []
        stuck: list[NewEvent] = []
        for topology in topologies:
            try:
                firing = _decide(topology, running.get(topology.pk, []), now)
            except TopologyError as error:
                firing = Firing((), None)
                topology.reason = f"cannot fire: {error}"
                stuck.append(NewEvent("topology.stuck", f"topology:{topology.name}", topology.reason, "error"))
            else:
                topology.reason = idle_reason(topology.trigger, firing.next_at)
            topology.next_run_at = firing.next_at
            runs += [(_new_run(topology, fire, now), topology) for fire in firing.fires]
        Topology.objects.bulk_update(topologies, ["next_run_at", "reason"], batch_size=BATCH)
        record(stuck, now)
        start(_inserted(runs), now)
    return len(topologies)


def _runs_in_progress(topologies: Sequence[Topology]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    rows = Run.objects.in_progress().filter(topology__in=topologies)
    for topology_id, run_id in rows.values_list("topology_id", "id"):
        found.setdefault(topology_id, []).append(run_id)
    return found


def _decide(topology: Topology, running: Sequence[str], now: datetime) -> Firing:
    due = Due(topology.trigger, topology.overlap, topology.next_run_at or now, in_progress(running))
    return decide(due, now, settings.SCHEDULER_MISFIRE_GRACE_S)


def _new_run(topology: Topology, fire: Fire, now: datetime) -> Run:
    run_id = new_run_id()
    started = fire.state == "running"
    return Run(
        id=run_id,
        topology=topology,
        topology_version=topology.version,
        kind=fire.kind,
        scheduled_at=fire.scheduled_at,
        state=fire.state,
        reason=fire.reason,
        graph_id=run_id if started else "",
        created_at=now,
        started_at=now if started else None,
        ended_at=None if started else now,
    )


def _inserted(runs: Sequence[tuple[Run, Topology]]) -> list[tuple[Run, Topology]]:
    """Stores runs. Returns those whose fire nobody had recorded before."""
    Run.objects.bulk_create([run for run, _ in runs], batch_size=BATCH, ignore_conflicts=True)
    new = set(Run.objects.filter(pk__in=[run.pk for run, _ in runs]).values_list("pk", flat=True))
    return [(run, topology) for run, topology in runs if run.pk in new]
