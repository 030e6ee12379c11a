"""Writes desired state: definitions, services and clusters as files and operators want them."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from clusters.core import document
from clusters.core.grammar import INSTANCES_MAX
from clusters.errors import NoSuchCluster, NoSuchService, NotANumberOfTasks
from clusters.models import Cluster, Service, TaskDefinition
from scheduler_project.toolkit.changes import Change
from scheduler_project.toolkit.errors import Fault
from scheduler_project.toolkit.events import NewEvent, record

JUST_CHANGED = "just changed; the next tick decides"
"""The reason of a service until the first decision after a change, so that nobody takes it for settled."""


def apply_changes(changes: Sequence[Change], now: datetime, actor: str) -> None:
    """Writes what is created or changed, in the order of the changes. Call it inside a transaction."""
    acting = [change for change in changes if change.action in ("created", "changed") and change.value is not None]
    definitions = [change.value for change in acting if isinstance(change.value, document.TaskDefinition)]
    services = [change.value for change in acting if isinstance(change.value, document.Service)]
    clusters = [change.value for change in acting if isinstance(change.value, document.Cluster)]
    write_definitions(definitions, now)
    write_services(services, now)
    write_clusters(clusters, now)
    record([event_of(change, actor) for change in acting], now)


def event_of(change: Change, actor: str) -> NewEvent:
    return NewEvent(f"{change.kind}.{change.action}", f"{change.kind}:{change.name}", change.detail, actor=actor)


def write_definitions(definitions: Sequence[document.TaskDefinition], now: datetime) -> None:
    TaskDefinition.objects.bulk_create(
        TaskDefinition(name=one.name, version=one.version, document=document.to_stored(one), created_at=now)
        for one in definitions
    )


def write_services(services: Sequence[document.Service], now: datetime) -> None:
    """Creates and changes services; one that is being removed comes back."""
    wanted = {one.task_name for one in services}
    definitions = {(row.name, row.version): row for row in TaskDefinition.objects.filter(name__in=wanted)}
    Service.objects.bulk_create(
        [
            Service(
                name=one.name,
                definition=definitions[one.task_name, one.task_version],
                desired=one.desired,
                min=one.min,
                max=one.max,
                placement=one.placement,
                max_attempts=one.max_attempts,
                reason=JUST_CHANGED,
                reconcile_at=now,
                created_at=now,
                changed_at=now,
            )
            for one in services
        ],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=[
            "definition",
            "desired",
            "min",
            "max",
            "placement",
            "max_attempts",
            "reason",
            "reconcile_at",
            "removed_at",
            "changed_at",
        ],
    )


def write_clusters(clusters: Sequence[document.Cluster], now: datetime) -> None:
    """Creates and changes clusters and makes exactly the listed services theirs."""
    Cluster.objects.bulk_create(
        [Cluster(name=one.name, placement=one.placement, created_at=now, changed_at=now) for one in clusters],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["placement", "removed_at", "changed_at"],
    )
    rows = {row.name: row for row in Cluster.objects.filter(name__in=[one.name for one in clusters])}
    listed = [name for one in clusters for name in one.services]
    unlisted = Service.objects.filter(cluster__in=rows.values()).exclude(name__in=listed)
    unlisted.update(cluster=None, reason=JUST_CHANGED, reconcile_at=now)
    for one in clusters:
        members = Service.objects.filter(name__in=one.services)
        members.update(cluster=rows[one.name], reason=JUST_CHANGED, reconcile_at=now)


def scale(name: str, desired: int, now: datetime, actor: str) -> Service:
    """Sets how many tasks a service has; `min` and `max` give way where they are in the way.

    Raises NoSuchService and NotANumberOfTasks.
    """
    if not 0 <= desired <= INSTANCES_MAX:
        raise NotANumberOfTasks([Fault("desired", f"must be from 0 to {INSTANCES_MAX}, got {desired}")])
    with transaction.atomic():
        service = Service.objects.select_for_update().present().filter(name=name).first()
        if service is None:
            raise NoSuchService(f"there is no service {name}; `GET /api/v1/services` lists them")
        before = service.desired
        service.desired = desired
        service.min = min(service.min, desired)
        service.max = max(service.max, desired)
        service.reason = JUST_CHANGED
        service.changed_at = service.reconcile_at = now
        service.save(update_fields=["desired", "min", "max", "reason", "changed_at", "reconcile_at"])
        record([NewEvent("service.scaled", f"service:{name}", f"{before} → {desired}", actor=actor)], now)
    return service


def remove_cluster(name: str, now: datetime, actor: str) -> None:
    """Stops all services of a cluster and removes them and it. Definitions stay. Raises NoSuchCluster."""
    with transaction.atomic():
        cluster = Cluster.objects.filter(name=name, removed_at=None).first()
        if cluster is None:
            raise NoSuchCluster(f"there is no cluster {name}; `GET /api/v1/clusters` lists them")
        Cluster.objects.filter(pk=cluster.pk).update(removed_at=now, changed_at=now)
        cluster.services.update(cluster=None, removed_at=now, changed_at=now, reconcile_at=now)
        record([NewEvent("cluster.removed", f"cluster:{name}", actor=actor)], now)
