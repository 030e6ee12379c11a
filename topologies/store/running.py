"""Runs topologies by hand, and kills runs."""

from datetime import datetime

from django.db import transaction

import graphs.store
from scheduler_project.toolkit.errors import Conflict, NotFound
from scheduler_project.toolkit.events import record
from topologies.core.states import RUN
from topologies.models import Run, Topology
from topologies.store.rows import new_run_id, run_event, start, topology_named
from topologies.store.settling import settle_ended


def run_now(name: str, now: datetime, actor: str, idempotency_key: str | None = None) -> Run:
    """Starts a run at once, also of a paused topology and beside runs in progress. Raises NotFound.

    A repeated `idempotency_key` returns the first run.
    """
    with transaction.atomic():
        topology = topology_named(name)
        first = _run_of(idempotency_key)
        return first or _start(topology, now, actor, idempotency_key)


def _run_of(idempotency_key: str | None) -> Run | None:
    if idempotency_key is None:
        return None
    return Run.objects.select_related("topology").filter(idempotency_key=idempotency_key).first()


def _start(topology: Topology, now: datetime, actor: str, idempotency_key: str | None) -> Run:
    run_id = new_run_id()
    run = Run.objects.create(
        id=run_id,
        topology=topology,
        topology_version=topology.version,
        kind="instant",
        scheduled_at=now,
        state="running",
        graph_id=run_id,
        actor=actor,
        idempotency_key=idempotency_key,
        created_at=now,
        started_at=now,
    )
    start([(run, topology)], now, actor)
    return run


def kill(run_id: str, now: datetime, actor: str) -> Run:
    """Cancels the run's graph: nothing more is started, and what runs is stopped.

    The run ends when that has come to an end; killed again, it no longer waits. Raises NotFound, and Conflict where the
    run has ended.
    """
    run = Run.objects.select_related("topology").filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    if run.state in RUN.final:
        raise Conflict(f"run {run_id} is already {run.state}")
    try:
        with transaction.atomic():
            record([run_event(run, run.topology, "run.kill_requested", f"by {actor or 'the system'}", actor)], now)
            graphs.store.cancel(run.graph_id, now, actor)
    except (Conflict, NotFound):
        settle_ended(now, [run.graph_id])
        raise
    run.refresh_from_db()
    return run
