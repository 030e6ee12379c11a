"""The app's HTTP API: topologies and their runs.

Invariant: nothing is decided here; requests become calls of `store`, rows become the shapes of `schemas`.
"""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Body, Header, Query, Router, Status

from scheduler_project.toolkit.access import Role, require
from scheduler_project.toolkit.errors import Conflict, Fault, InvalidDocument, NotFound
from scheduler_project.toolkit.http import PAGE_SIZE_DEFAULT, page
from topologies import store
from topologies.manifest import spec_of
from topologies.models import Run, Topology
from topologies.schemas import (
    FiresOut,
    RunOut,
    RunPage,
    TopologyOut,
    TopologyPage,
    shown_run,
    shown_topologies,
)

router = Router(tags=["topologies"])
Cursor = Annotated[str, Query(description="the `next` of the page before")]
Limit = Annotated[int, Query(description="rows per page, at most 1000")]
Document = Annotated[
    dict[str, Any],
    Body(
        description="a topology as in examples/topology.yml",
        examples=[
            {
                "name": "nightly-report",
                "trigger": {"type": "CRON", "timeSpec": "0 30 2 * * ?", "timezone": "Europe/Berlin"},
                "overlap": "skip",
                "graph": {"components": [{"name": "extract", "command": "date", "after": []}]},
            }
        ],
    ),
]


@router.get("/topologies", response=TopologyPage, summary="List topologies")
def list_topologies(request: HttpRequest, cursor: Cursor = "", limit: Limit = PAGE_SIZE_DEFAULT) -> dict[str, Any]:
    """All that are not deleted, each with its last run."""
    rows = Topology.objects.present().with_last_run()
    found = page(rows, cursor, limit, lambda topology: topology, key="name")
    return {"items": shown_topologies(found["items"]), "next": found["next"]}


@router.post("/topologies", response={201: TopologyOut}, summary="Create a topology")
def create_topology(
    request: HttpRequest,
    document: Document,
    idempotency_key: Annotated[str, Header(description="a repeated request answers as the first")] = "",
) -> Status[dict[str, Any]]:
    """Answers 409 where there is one of that name; a repeated request, told by its key, gets the one it made."""
    require(request, Role.OPERATOR)
    now = timezone.now()
    spec = spec_of(document, None, now)
    try:
        store.create(spec, now, _actor(request))
    except Conflict:
        if not idempotency_key or _topology(spec.name).spec != spec.document():
            raise
    return Status(201, _shown(spec.name))


@router.get("/topologies/{name}", response=TopologyOut, summary="One topology")
def get_topology(request: HttpRequest, name: str) -> dict[str, Any]:
    """One topology with its last run."""
    return _shown(name)


@router.put("/topologies/{name}", response=TopologyOut, summary="Change a topology")
def update_topology(request: HttpRequest, name: str, document: Document) -> dict[str, Any]:
    """Makes it as the document says; runs in progress go on as they began."""
    require(request, Role.OPERATOR)
    now = timezone.now()
    spec = spec_of({"name": name, **document}, _topology(name).spec, now)
    if spec.name != name:
        raise InvalidDocument([Fault("name", f"{spec.name!r} is another topology than {name!r}; names do not change")])
    store.update(spec, now, _actor(request))
    return _shown(name)


@router.delete("/topologies/{name}", response=TopologyOut, summary="Delete a topology")
def delete_topology(request: HttpRequest, name: str) -> dict[str, Any]:
    """Its runs are kept; those in progress go on, and `reason` in the answer tells how many."""
    require(request, Role.OPERATOR)
    found = store.delete(name, timezone.now(), _actor(request))
    return shown_topologies([Topology.objects.with_last_run().get(pk=found.pk)])[0]


@router.post("/topologies/{name}/run", response={201: RunOut}, summary="Run a topology now")
def run_topology(
    request: HttpRequest,
    name: str,
    idempotency_key: Annotated[str, Header(description="a repeated request returns the run of the first")] = "",
) -> Status[dict[str, Any]]:
    """Answers at once with the run, which goes on in the background. A paused topology may be run too."""
    require(request, Role.OPERATOR)
    key = f"http/{request.user.pk}/{name}/{idempotency_key}" if idempotency_key else None
    return Status(201, shown_run(store.run_now(name, timezone.now(), _actor(request), key)))


@router.post("/topologies/{name}/pause", response=TopologyOut, summary="Pause a topology")
def pause_topology(request: HttpRequest, name: str) -> dict[str, Any]:
    """Fires no more until it is unpaused."""
    require(request, Role.OPERATOR)
    store.pause(name, timezone.now(), _actor(request))
    return _shown(name)


@router.post("/topologies/{name}/unpause", response=TopologyOut, summary="Unpause a topology")
def unpause_topology(request: HttpRequest, name: str) -> dict[str, Any]:
    """Fires again, from now on."""
    require(request, Role.OPERATOR)
    store.unpause(name, timezone.now(), _actor(request))
    return _shown(name)


@router.get("/topologies/{name}/next", response=FiresOut, summary="When a topology fires next")
def next_fires(
    request: HttpRequest, name: str, count: Annotated[int, Query(ge=1, le=100)] = 5
) -> dict[str, list[datetime]]:
    """The next fires that its trigger tells, also for a paused topology."""
    return {"items": _topology(name).trigger.upcoming(timezone.now(), count)}


@router.get("/runs", response=RunPage, tags=["runs"], summary="List runs")
def list_runs(
    request: HttpRequest,
    topology: Annotated[str, Query(description="only runs of topologies of this name")] = "",
    state: Annotated[str, Query(description="only those in this state")] = "",
    cursor: Cursor = "",
    limit: Limit = PAGE_SIZE_DEFAULT,
) -> dict[str, Any]:
    """Newest first."""
    rows = Run.objects.select_related("topology")
    if topology:
        rows = rows.filter(topology__name=topology)
    if state:
        rows = rows.filter(state=state)
    return page(rows, cursor, limit, shown_run)


@router.get("/runs/{run_id}", response=RunOut, tags=["runs"], summary="One run")
def get_run(request: HttpRequest, run_id: str) -> dict[str, Any]:
    """One run; what its components do is told by its graph."""
    run = Run.objects.select_related("topology").filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return shown_run(run)


@router.post("/runs/{run_id}/kill", response=RunOut, tags=["runs"], summary="Kill a run")
def kill_run(request: HttpRequest, run_id: str) -> dict[str, Any]:
    """Starts nothing more of it and stops what runs. It ends when that has ended; killed again, it does not wait."""
    require(request, Role.OPERATOR)
    return shown_run(store.kill(run_id, timezone.now(), _actor(request)))


def _topology(name: str) -> Topology:
    topology = Topology.objects.present().filter(name=name).first()
    if topology is None:
        raise NotFound(f"there is no topology {name}")
    return topology


def _shown(name: str) -> dict[str, Any]:
    found = shown_topologies(list(Topology.objects.present().with_last_run().filter(name=name)))
    if not found:
        raise NotFound(f"there is no topology {name}")
    return found[0]


def _actor(request: HttpRequest) -> str:
    return str(request.user.get_username())
