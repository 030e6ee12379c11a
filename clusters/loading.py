"""Reads what decisions need, in a number of queries that does not depend on how much there is."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from clusters.core import document
from clusters.core.desired import Document, Known
from clusters.core.placement import Host, Occupant, occupant_of
from clusters.core.ports import parse_pool
from clusters.core.snapshot import ServiceView, Snapshot, TaskView
from clusters.models import Cluster, Service, Task, TaskDefinition
from workers.models import Worker

UNITS_PER_CORE = 1024
SUSPECT_FOR = timedelta(minutes=10)
SUSPECTS_MAX = 1000
FOR_COMMANDS_ALONE = {"docker"}
HOST_FIELDS = ("id", "name", "state", "draining", "facts")
TASK_FIELDS = (
    "id",
    "service_id",
    "definition_id",
    "definition__version",
    "instance",
    "host_id",
    "state",
    "reason",
    "leaving",
    "failures",
    "avoid",
    "next_issue_at",
)


def known_for(wanted: Document) -> Known:
    """What the database holds of everything that a document speaks of."""
    names = {name for name, _ in wanted.mentioned_definitions()}
    definitions = [document.from_stored(row.document) for row in TaskDefinition.objects.filter(name__in=names)]
    rows = Service.objects.present().filter(name__in=wanted.mentioned_services()).select_related("definition")
    members = Service.objects.present().order_by("name").values_list("cluster_id", "name")
    listed: dict[int | None, list[str]] = {}
    for cluster_id, name in members:
        listed.setdefault(cluster_id, []).append(name)
    clusters = Cluster.objects.filter(removed_at=None)
    return Known(
        definitions={(one.name, one.version): one for one in definitions},
        services={row.name: desired_service(row) for row in rows},
        clusters={
            row.name: document.Cluster(row.name, tuple(listed.get(row.pk, ())), row.placement) for row in clusters
        },
    )


def desired_service(row: Service) -> document.Service:
    return document.Service(
        name=row.name,
        task_name=row.definition.name,
        task_version=row.definition.version,
        desired=row.desired,
        min=row.min,
        max=row.max,
        placement=row.placement,
        max_attempts=row.max_attempts,
    )


def snapshot_of(service_ids: Collection[int], now: datetime) -> Snapshot:
    """All that a decision about these services sees."""
    suspect = suspect_ports(now)
    services = Service.objects.filter(pk__in=service_ids).select_related("cluster", "definition").order_by("name")
    tasks = Task.objects.relevant().filter(service__in=service_ids).values_list(*TASK_FIELDS, named=True)
    definitions: dict[int, document.TaskDefinition] = {}
    return Snapshot(
        services=[service_view(row, definitions) for row in services],
        tasks=[task_view(row) for row in tasks],
        hosts=[host_view(row, suspect.get(row.id, frozenset())) for row in Worker.objects.only(*HOST_FIELDS)],
        occupants=list(occupants()),
    )


def service_view(row: Service, definitions: dict[int, document.TaskDefinition]) -> ServiceView:
    if row.definition_id not in definitions:
        definitions[row.definition_id] = document.from_stored(row.definition.document)
    return ServiceView(
        id=row.pk,
        name=row.name,
        definition_id=row.definition_id,
        definition=definitions[row.definition_id],
        desired=row.desired,
        min=row.min,
        max=row.max,
        placement=row.placement or (row.cluster.placement if row.cluster else ""),
        absent=absence(row),
    )


def absence(row: Service) -> str:
    """Why a service should not run at all."""
    if row.removed_at is not None:
        return "the service is being removed"
    if row.cluster is None:
        return "no cluster lists the service"
    return ""


def task_view(row: Any) -> TaskView:
    """From a row of `TASK_FIELDS`: there may be very many, so no models are made of them."""
    return TaskView(
        id=row.id,
        service=row.service_id,
        definition_id=row.definition_id,
        version=row.definition__version,
        instance=row.instance,
        host=row.host_id,
        state=row.state,
        reason=row.reason,
        leaving=row.leaving,
        failures=row.failures,
        avoid=tuple(row.avoid),
        next_issue_at=row.next_issue_at,
    )


def host_view(row: Worker, suspect: frozenset[int]) -> Host:
    """A host's room as its agent told it. What is not told is not limited, but ports and executors must be told."""
    cores = row.facts.get("cores")
    return Host(
        id=row.id,
        name=row.name,
        connected=row.state == "connected",
        draining=row.draining,
        executors=frozenset(row.facts.get("executors") or ()) - FOR_COMMANDS_ALONE,
        ports=parse_pool(str(row.facts.get("ports") or "")),
        suspect_ports=suspect,
        memory_mb=whole_or_none(row.facts.get("memory_mb")),
        cpu_units=int(cores * UNITS_PER_CORE) if isinstance(cores, int | float) else None,
        disk_mb=whole_or_none(row.facts.get("disk_mb")),
    )


def suspect_ports(now: datetime) -> dict[str, frozenset[int]]:
    """The ports, by host, with which tasks were rejected there of late."""
    found: dict[str, set[int]] = {}
    rejected = Task.objects.filter(state="rejected", ended_at__gt=now - SUSPECT_FOR).order_by("-ended_at")
    for host, ports in rejected.values_list("host_id", "ports")[:SUSPECTS_MAX]:
        found.setdefault(host or "", set()).update(ports.values())
    return {host: frozenset(ports) for host, ports in found.items()}


def whole_or_none(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def occupants() -> Iterable[Occupant]:
    """All tasks that hold something of a host, of all services. Each definition is read once."""
    rows = Task.objects.occupying().values_list("id", "host_id", "service_id", "definition_id", "ports")
    held = [row for row in rows if row[1] is not None]
    documents = TaskDefinition.objects.filter(pk__in={row[3] for row in held}).values_list("pk", "document")
    definitions = {pk: document.from_stored(stored) for pk, stored in documents}
    for task, host, service, definition, ports in held:
        yield occupant_of(task, str(host), service, definitions[definition], ports.values())
