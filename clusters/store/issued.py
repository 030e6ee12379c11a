"""Writes issued state: tasks, as plans and agents' reports move them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import uuid_utils
from django.db import transaction
from django.db.models import Case, Value, When

from clusters.core import document
from clusters.core.orders import keep_order
from clusters.core.reports import Progress, advance
from clusters.core.snapshot import Issue, Plan
from clusters.core.states import LIVE, TASK
from clusters.errors import NoSuchTask, TaskNotLive
from clusters.models import Cluster, Service, Task
from scheduler_project.toolkit import leases
from scheduler_project.toolkit.bulk import update_rows
from scheduler_project.toolkit.events import NewEvent, record
from workers import units
from workers.models import Worker
from workers.protocol import Order, QueryUnits, Report, StopUnit, TaskState, id_of

RESEND_AFTER = timedelta(seconds=5)
"""Until an order that no report answered is sent again."""

KEEP_ENDED = timedelta(days=7)
"""How long ended tasks are kept to be looked at."""

BATCH = 1000
TURN = "clusters.reconcile"
CHANGED_BY_REPORTS = [
    "state",
    "session",
    "reason",
    "restarts",
    "failures",
    "avoid",
    "started_at",
    "ended_at",
    "resend_at",
    "next_issue_at",
]

Orders = dict[str, list[Order]]


def claim_turn(now: datetime) -> bool:
    """Makes this transaction the only one that decides about tasks; False while another one does."""
    return leases.claim_turn(TURN, now)


def apply_plan(plan: Plan, now: datetime) -> Orders:
    """Writes a plan in the transaction that loaded its snapshot. Returns the orders that follow from it."""
    tasks = Task.objects.select_related("service", "host", "definition").in_bulk([*plan.stop, *plan.lose, *plan.leave])
    move(tasks, plan.lose, "lost", now, ended_at=now, resend_at=now)
    move(tasks, plan.stop, "stopping", now, resend_at=now + RESEND_AFTER)
    Task.objects.filter(pk__in=plan.leave, state__in=LIVE).update(leaving=reasons_case(plan.leave))
    Task.objects.filter(pk__in=plan.forget).update(next_issue_at=None)
    issued = insert(plan.issue, now)
    write_verdicts(plan, now)
    orders: Orders = {}
    for task_id in plan.stop:
        put(orders, tasks[task_id])
    for task in issued:
        put(orders, task)
    return orders


def move(tasks: Mapping[str, Task], reasons: Mapping[str, str], state: str, now: datetime, **fields: object) -> None:
    """Brings tasks into a state, each with its reason, from any state that allows the move."""
    if not reasons:
        return
    moving = Task.objects.filter(pk__in=reasons, state__in=TASK.sources(state))
    moving.update(state=state, reason=reasons_case(reasons), **fields)
    for task_id, reason in reasons.items():
        tasks[task_id].state, tasks[task_id].reason = state, reason
    record([task_event(tasks[task_id], state, reason) for task_id, reason in reasons.items()], now)


def reasons_case(reasons: Mapping[str, str]) -> Case | Value:
    """Each row's reason in one statement."""
    by_reason: dict[str, list[str]] = {}
    for task_id, reason in reasons.items():
        by_reason.setdefault(reason, []).append(task_id)
    return Case(*(When(pk__in=ids, then=Value(reason)) for reason, ids in by_reason.items()), default=Value(""))


def insert(issues: Sequence[Issue], now: datetime) -> list[Task]:
    """Creates the tasks. The database refuses a second live task of an instance."""
    if not issues:
        return []
    involved = {issue.service for issue in issues}
    services = Service.objects.select_related("cluster", "definition").in_bulk(involved)
    hosts = Worker.objects.in_bulk({issue.host for issue in issues})
    tasks = [new_task(issue, services[issue.service], hosts[issue.host], now) for issue in issues]
    Task.objects.bulk_create(tasks)
    record([task_event(task, "issued", f"on {task.host.name}" if task.host else "") for task in tasks], now)
    return tasks


def new_task(issue: Issue, service: Service, host: Worker, now: datetime) -> Task:
    cluster = service.cluster
    if cluster is None:
        raise ValueError(f"service {service.name} has no cluster to run in")
    return Task(
        id=str(uuid_utils.uuid7()),
        name=f"{cluster.name}-{service.name}-{service.definition.version}-{issue.instance}",
        cluster=cluster,
        service=service,
        definition=service.definition,
        instance=issue.instance,
        host=host,
        ports=issue.ports,
        failures=issue.failures,
        avoid=list(issue.avoid),
        issued_at=now,
        resend_at=now + RESEND_AFTER,
    )


def write_verdicts(plan: Plan, now: datetime) -> None:
    """Keeps why services are not as desired, tells it when it changes, and sets when to look again."""
    services = list(Service.objects.filter(pk__in=plan.verdicts))
    events = []
    for service in services:
        verdict = plan.verdicts[service.pk]
        if verdict.reason != service.reason:
            name = "service.waiting" if verdict.reason else "service.settled"
            events.append(NewEvent(name, f"service:{service.name}", verdict.reason))
        service.reason, service.reconcile_at = verdict.reason, verdict.look_again_at
    update_rows(services, ["reason", "reconcile_at"])
    record(events, now)


def apply_reports(host: str, reports: Sequence[Report], now: datetime) -> None:
    """Applies an agent's reports on tasks; those that are late, doubled or of another host change nothing.

    A host that keeps a task which is not known here at all is told to stop it.
    """
    ids = {id_of(report.unit) for report in reports}
    session = Worker.objects.filter(name=host).values_list("session", flat=True).first() or ""
    involved = Service.objects.filter(tasks__in=ids).order_by("pk").distinct().values_list("pk", flat=True)
    list(Service.objects.select_for_update().filter(pk__in=list(involved)).order_by("pk").values_list("pk"))
    tasks = Task.objects.select_for_update(of=("self",)).select_related("host", "service", "definition").in_bulk(ids)
    by_task: dict[str, list[Report]] = {}
    for report in reports:
        by_task.setdefault(id_of(report.unit), []).append(report)
    changed, moved = [], []
    for task_id, task in tasks.items():
        before = progress_of(task)
        after = advance(before, by_task[task_id], host, session, now)
        if after != before:
            take(task, after)
            changed.append(task)
        if after.state != before.state:
            moved.append(task)
    write_progress(changed, moved, now)
    strangers = stops_of_strangers(by_task, tasks)
    if strangers:
        units.send({host: strangers})


def write_progress(changed: Sequence[Task], moved: Sequence[Task], now: datetime) -> None:
    update_rows(changed, CHANGED_BY_REPORTS)
    if moved:
        Service.objects.filter(pk__in={task.service_id for task in moved}).update(reconcile_at=now)
    record([task_event(task, task.state, task.reason) for task in moved], now)


def stops_of_strangers(by_task: Mapping[str, Sequence[Report]], tasks: Mapping[str, Task]) -> list[Order]:
    """Stops for what an agent keeps running although nothing is known of it here."""
    return [
        StopUnit(unit=report.unit, attempt=report.attempt, reason="it is not known any more")
        for task_id, reports in by_task.items()
        if task_id not in tasks
        for report in reports[-1:]
        if isinstance(report, TaskState) and report.state not in TASK.final
    ]


def progress_of(task: Task) -> Progress:
    return Progress(
        id=task.id,
        attempt=task.attempt,
        host=task.host_id or "",
        host_name=task.host.name if task.host else "",
        state=task.state,
        session=task.session,
        reason=task.reason,
        restarts=task.restarts,
        failures=task.failures,
        avoid=tuple(task.avoid),
        started_at=task.started_at,
        ended_at=task.ended_at,
        resend_at=task.resend_at,
        next_issue_at=task.next_issue_at,
    )


def take(task: Task, progress: Progress) -> None:
    values = asdict(progress) | {"avoid": list(progress.avoid)}
    for name in CHANGED_BY_REPORTS:
        setattr(task, name, values[name])


def resend(now: datetime) -> Orders:
    """What was not answered in time, once more; and questions about tasks that a host's new session is silent about."""
    Task.objects.filter(pk__in=Task.objects.unheard().values("pk")[:BATCH]).update(resend_at=now)
    due = list(Task.objects.to_send(now).select_related("service", "host", "definition").order_by("resend_at")[:BATCH])
    Task.objects.filter(pk__in=[task.pk for task in due]).update(resend_at=now + RESEND_AFTER)
    orders: Orders = {}
    for task in due:
        put(orders, task)
    return orders


def put(orders: Orders, task: Task) -> None:
    """Adds the order that a task's state asks for."""
    if task.host is not None:
        orders.setdefault(task.host.name, []).append(order_of(task))


def order_of(task: Task) -> Order:
    if task.state == "issued":
        definition = document.from_stored(task.definition.document)
        return keep_order(task.unit, task.attempt, definition, task.ports, task.service.max_attempts)
    if task.state in LIVE:
        return QueryUnits(units=[(task.unit, task.attempt)])
    return StopUnit(unit=task.unit, attempt=task.attempt, reason=task.reason)


def stop_task(task_id: str, reason: str, now: datetime, actor: str) -> Task:
    """Stops one live task; its instance is issued again as far as it is still desired.

    Raises NoSuchTask and TaskNotLive.
    """
    with transaction.atomic():
        tasks = Task.objects.select_related("service", "host", "definition")
        task = tasks.filter(pk=task_id).first()
        if task is None:
            raise NoSuchTask(f"there is no task {task_id}; `GET /api/v1/tasks` lists them")
        stopped = Task.objects.live().filter(pk=task_id, attempt=task.attempt)
        if not stopped.update(state="stopping", reason=reason, resend_at=now + RESEND_AFTER):
            raise TaskNotLive(f"task {task.name} is {task.state} already")
        task.state, task.reason = "stopping", reason
        Service.objects.filter(pk=task.service_id).update(reconcile_at=now)
        record([task_event(task, "stopping", reason, actor)], now)
        orders: Orders = {}
        put(orders, task)
        units.send(orders)
    return task


def clear_away(now: datetime) -> None:
    """Deletes what was removed once its last task is gone, and tasks that ended long ago."""
    held = Task.objects.occupying()
    Service.objects.filter(removed_at__isnull=False).exclude(pk__in=held.values("service")).delete()
    Cluster.objects.filter(removed_at__isnull=False).exclude(pk__in=held.values("cluster")).delete()
    outdated = Task.objects.outdated(now - KEEP_ENDED)
    Task.objects.filter(pk__in=list(outdated.values_list("pk", flat=True)[:BATCH])).delete()


def task_event(task: Task, what: str, reason: str, actor: str = "") -> NewEvent:
    data = {"name": task.name, "service": task.service.name, "host": task.host.name if task.host else ""}
    level = "warning" if what in ("failing", "rejected", "lost") else "info"
    return NewEvent(f"task.{what}", f"task:{task.id}", reason, level, {**data, "state": what}, actor)
