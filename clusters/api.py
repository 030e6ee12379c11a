"""The app's HTTP API: clusters, services, task definitions and tasks."""

from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status

from clusters import store
from clusters.errors import NoSuchCluster, NoSuchService, NoSuchTask
from clusters.models import Cluster, Service, Task, TaskDefinition
from scheduler_project.toolkit.access import Role, require
from scheduler_project.toolkit.http import PAGE_SIZE_DEFAULT, page
from scheduler_project.toolkit.masking import masked

router = Router(tags=["clusters"])


class ClusterOut(Schema):
    """A group of services."""

    name: str
    scheduler: str
    services: list[str]
    created_at: datetime
    changed_at: datetime


class ServiceOut(Schema):
    """A service as desired, as issued to hosts, and as it runs."""

    name: str
    cluster: str
    task_name: str
    task_version: int
    desired: int
    min: int
    max: int
    issued: int
    actual: int
    reason: str


class TaskDefinitionOut(Schema):
    """One version of what a task runs."""

    name: str
    version: int
    document: dict[str, Any]
    created_at: datetime


class TaskOut(Schema):
    """One issued instance on one host."""

    id: str
    name: str
    cluster: str
    service: str
    version: int
    instance: int
    host: str | None
    ports: dict[str, int]
    state: str
    reason: str
    restarts: int
    issued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class ClusterPage(Schema):
    items: list[ClusterOut]
    next: str = ""


class ServicePage(Schema):
    items: list[ServiceOut]
    next: str = ""


class TaskDefinitionPage(Schema):
    items: list[TaskDefinitionOut]
    next: str = ""


class TaskPage(Schema):
    items: list[TaskOut]
    next: str = ""


class Scale(Schema):
    """How many tasks a service should have."""

    desired: int


def show_cluster(row: Cluster) -> dict[str, Any]:
    return {
        "name": row.name,
        "scheduler": row.placement,
        "services": [service.name for service in row.services.all()],
        "created_at": row.created_at,
        "changed_at": row.changed_at,
    }


def show_service(row: Any) -> dict[str, Any]:
    """A row of `Service.objects.counted()`."""
    return {
        "name": row.name,
        "cluster": row.cluster.name if row.cluster else "",
        "task_name": row.definition.name,
        "task_version": row.definition.version,
        "desired": row.desired,
        "min": row.min,
        "max": row.max,
        "issued": row.issued,
        "actual": row.actual,
        "reason": row.reason,
    }


def show_definition(row: TaskDefinition) -> dict[str, Any]:
    """Values that look like secrets, such as those of passwords in `env`, are masked."""
    return {"name": row.name, "version": row.version, "document": masked(row.document), "created_at": row.created_at}


def show_task(row: Task) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "cluster": row.cluster.name,
        "service": row.service.name,
        "version": row.definition.version,
        "instance": row.instance,
        "host": row.host.name if row.host else None,
        "ports": row.ports,
        "state": row.state,
        "reason": row.reason,
        "restarts": row.restarts,
        "issued_at": row.issued_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
    }


def clusters() -> Any:
    services = Prefetch("services", Service.objects.present().order_by("name"))
    return Cluster.objects.filter(removed_at=None).prefetch_related(services)


def services() -> Any:
    return Service.objects.present().counted().select_related("cluster", "definition")


@router.get("/clusters", response=ClusterPage)
def list_clusters(request: HttpRequest, cursor: str = "", limit: int = PAGE_SIZE_DEFAULT) -> dict[str, Any]:
    return page(clusters(), cursor, limit, show_cluster)


@router.get("/clusters/{name}", response=ClusterOut)
def get_cluster(request: HttpRequest, name: str) -> dict[str, Any]:
    row = clusters().filter(name=name).first()
    if row is None:
        raise NoSuchCluster(f"there is no cluster {name}")
    return show_cluster(row)


@router.delete("/clusters/{name}", response={204: None})
def remove_cluster(request: HttpRequest, name: str) -> Status[None]:
    """Stops all services of the cluster and removes them and it."""
    require(request, Role.OPERATOR)
    store.remove_cluster(name, timezone.now(), request.user.get_username())
    return Status(204, None)


@router.get("/services", response=ServicePage)
def list_services(
    request: HttpRequest, cluster: str = "", cursor: str = "", limit: int = PAGE_SIZE_DEFAULT
) -> dict[str, Any]:
    rows = services().filter(cluster__name=cluster) if cluster else services()
    return page(rows, cursor, limit, show_service)


@router.get("/services/{name}", response=ServiceOut)
def get_service(request: HttpRequest, name: str) -> dict[str, Any]:
    row = services().filter(name=name).first()
    if row is None:
        raise NoSuchService(f"there is no service {name}")
    return show_service(row)


@router.post("/services/{name}/scale", response=ServiceOut)
def scale(request: HttpRequest, name: str, body: Scale) -> dict[str, Any]:
    """Sets `desired`; `min` and `max` give way where they are in the way."""
    require(request, Role.OPERATOR)
    store.scale(name, body.desired, timezone.now(), request.user.get_username())
    return show_service(services().get(name=name))


@router.get("/task-definitions", response=TaskDefinitionPage)
def list_definitions(
    request: HttpRequest, name: str = "", cursor: str = "", limit: int = PAGE_SIZE_DEFAULT
) -> dict[str, Any]:
    rows = TaskDefinition.objects.filter(name=name) if name else TaskDefinition.objects.all()
    return page(rows, cursor, limit, show_definition)


@router.get("/tasks", response=TaskPage)
def list_tasks(
    request: HttpRequest,
    service: str = "",
    host: str = "",
    state: str = "",
    cursor: str = "",
    limit: int = PAGE_SIZE_DEFAULT,
) -> dict[str, Any]:
    """Unfinished tasks, or those of one state."""
    rows = Task.objects.select_related("cluster", "service", "definition", "host")
    rows = rows.filter(state=state) if state else rows.unfinished()
    given = {"service__name": service, "host__name": host}
    return page(rows.filter(**{key: value for key, value in given.items() if value}), cursor, limit, show_task)


@router.get("/tasks/{task_id}", response=TaskOut)
def get_task(request: HttpRequest, task_id: str) -> dict[str, Any]:
    row = Task.objects.select_related("cluster", "service", "definition", "host").filter(pk=task_id).first()
    if row is None:
        raise NoSuchTask(f"there is no task {task_id}")
    return show_task(row)
