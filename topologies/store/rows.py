"""Small pieces that all writers of this package share: row locks, new runs and their graphs, events."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

import uuid_utils
from django.db import connection, models

import graphs.store
from scheduler_project.toolkit.errors import NotFound, SchedulerError
from scheduler_project.toolkit.events import NewEvent, record
from topologies.core.template import graph_document
from topologies.models import Run, Topology

BATCH = 100
FAILURES = frozenset({"failed", "missed"})
GRAPH_SOURCE = "topology"
Row = TypeVar("Row", bound=models.Model)


def locked(rows: "models.QuerySet[Row]") -> "models.QuerySet[Row]":
    """Waits for the rows' locks. SQLite's one writer needs none."""
    return rows.select_for_update(of=("self",), no_key=True) if connection.features.has_select_for_update_of else rows


def claimed(rows: "models.QuerySet[Row]") -> "models.QuerySet[Row]":
    """Locks the rows that no other process works on now, so that any number of dispatchers share the work."""
    if not connection.features.has_select_for_update_skip_locked:
        return rows
    return rows.select_for_update(of=("self",), no_key=True, skip_locked=True)


def topology_named(name: str) -> Topology:
    """The present topology of this name, locked until the transaction ends. Raises NotFound."""
    found = locked(Topology.objects.present().filter(name=name)).first()
    if found is None:
        raise NotFound(f"there is no topology {name}")
    return found


def new_run_id() -> str:
    return str(uuid_utils.uuid7())


def start(runs: Sequence[tuple[Run, Topology]], now: datetime, actor: str = "") -> None:
    """Makes the graphs of the stored runs that are running, and tells of all.

    One whose graph is refused is a failed run with the reason.
    """
    failed: list[Run] = []
    for run, topology in runs:
        if run.state != "running":
            continue
        try:
            document = graph_document(topology.spec, run.id)
            graphs.store.submit(document, now, source=GRAPH_SOURCE, actor=actor)
        except SchedulerError as error:
            run.state, run.reason, run.graph_id, run.ended_at = "failed", str(error), "", now
            failed.append(run)
    Run.objects.bulk_update(failed, ["state", "reason", "graph_id", "ended_at"], batch_size=BATCH)
    record_runs(runs, now, actor)


def record_runs(runs: Iterable[tuple[Run, Topology]], now: datetime, actor: str = "") -> None:
    """One event per run, named after its state."""
    record([run_event(run, topology, f"run.{run.state}", run.reason, actor) for run, topology in runs], now)


def run_event(run: Run, topology: Topology, name: str, message: str, actor: str) -> NewEvent:
    level = "error" if run.state in FAILURES else "info"
    data = {"topology": topology.name, "state": run.state, "kind": run.kind, "graph": run.graph_id}
    return NewEvent(name, f"run:{run.id}", message, level, data, actor)


def topology_event(topology: Topology, what: str, actor: str) -> NewEvent:
    data = {"state": topology.state, "version": topology.version}
    return NewEvent(f"topology.{what}", f"topology:{topology.name}", topology.reason, data=data, actor=actor)
