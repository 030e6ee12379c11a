"""The JSON of the app's HTTP API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ninja import Schema
from pydantic import Field

from scheduler_project.toolkit.masking import masked
from topologies.models import Run, Topology


class RunOut(Schema):
    """One fire of a topology."""

    id: str
    topology: str = Field(examples=["nightly-report"])
    kind: str = Field(examples=["cron"], description="cron, once, or instant for one that was asked for")
    state: str = Field(examples=["running"])
    reason: str = Field(description="why it is in this state")
    graph: str | None = Field(description="id of its graph; null where it has none")
    actor: str = Field(description="who asked for it, empty for the clock")
    scheduled_at: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class RunPage(Schema):
    """A part of the runs; `next` is the cursor of the following part, empty at the end."""

    items: list[RunOut]
    next: str


class TopologyOut(Schema):
    """A graph and when it runs."""

    name: str = Field(examples=["nightly-report"])
    state: str = Field(examples=["active"])
    reason: str = Field(description="why it is in this state, or fires no more")
    cron: str = Field(examples=["0 30 2 * * ?"], description="empty where it does not fire by cron")
    timezone: str = Field(examples=["Europe/Berlin"])
    at: datetime | None = Field(description="when it fires once")
    overlap: str = Field(examples=["skip"])
    version: int
    next_run_at: datetime | None
    last_run: RunOut | None
    spec: dict[str, Any] = Field(description="the document that makes it what it is; secrets are masked")
    created_at: datetime
    updated_at: datetime


class TopologyPage(Schema):
    """A part of the topologies; `next` is the cursor of the following part, empty at the end."""

    items: list[TopologyOut]
    next: str


class FiresOut(Schema):
    """The next fires of a topology, in UTC."""

    items: list[datetime]


def shown_run(run: Run) -> dict[str, Any]:
    """A run as JSON; its topology must be at hand."""
    plain = {name: getattr(run, name) for name in RunOut.model_fields if name not in ("topology", "graph")}
    return plain | {"topology": run.topology.name, "graph": run.graph_id or None}


def shown_topologies(topologies: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows of `with_last_run()` as JSON, their last runs read in one query."""
    ids = [topology.last_run_id for topology in topologies if topology.last_run_id]
    runs = {run.pk: run for run in Run.objects.select_related("topology").filter(pk__in=ids)}
    return [shown_topology(topology, runs.get(topology.last_run_id)) for topology in topologies]


def shown_topology(topology: Topology, last_run: Run | None) -> dict[str, Any]:
    plain = {name: getattr(topology, name) for name in TopologyOut.model_fields if name != "last_run"}
    return plain | {"spec": masked(topology.spec), "last_run": shown_run(last_run) if last_run else None}
