"""The periodic work of the app: decide about services that need it, and send again what was not answered."""

from collections.abc import Sequence
from datetime import datetime

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from clusters import loading, store
from clusters.core.reconcile import decide
from clusters.models import Cluster, Service, Task
from workers import units

SERVICES_PER_DECISION = 500
DECISIONS_PER_TICK = 20


@shared_task(name="clusters.sweep")
def sweep() -> None:
    """One tick. Where nothing needs doing it only reads, in a constant number of queries."""
    tick(timezone.now())


def tick(now: datetime) -> None:
    """Reconciles the services that are due, sends again what is overdue, and clears away what is gone."""
    for _ in range(DECISIONS_PER_TICK):
        due = due_services(now)
        if not due or not reconcile(due, now):
            break
    if Task.objects.to_send(now).exists() or Task.objects.unheard().exists():
        send_again(now)
    if has_leftovers(now):
        with transaction.atomic():
            store.clear_away(now)


def due_services(now: datetime) -> list[int]:
    """Services that asked to be looked at, and those whose tasks' hosts went away or are draining."""
    disturbed = set(Task.objects.disturbed().values_list("service_id", flat=True).distinct())
    asked = Service.objects.due(now).order_by("reconcile_at").values_list("pk", flat=True)[:SERVICES_PER_DECISION]
    return sorted(disturbed.union(asked))


def reconcile(service_ids: Sequence[int], now: datetime) -> bool:
    """Decides about services in one transaction that no other decision runs beside; False while another one does."""
    with transaction.atomic():
        if not store.claim_turn(now):
            return False
        list(Service.objects.select_for_update().filter(pk__in=service_ids).order_by("pk").values_list("pk"))
        plan = decide(loading.snapshot_of(service_ids, now), now)
        units.send(store.apply_plan(plan, now))
    return True


def send_again(now: datetime) -> None:
    with transaction.atomic():
        if store.claim_turn(now):
            units.send(store.resend(now))


def has_leftovers(now: datetime) -> bool:
    return (
        Service.objects.filter(removed_at__isnull=False).exists()
        or Cluster.objects.filter(removed_at__isnull=False).exists()
        or Task.objects.outdated(now - store.KEEP_ENDED).exists()
    )
