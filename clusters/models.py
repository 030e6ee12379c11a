"""Desired state (clusters, services, task definitions) and issued state (tasks)."""

from datetime import datetime

from django.db import models
from django.db.models import Count, F, Q

from clusters.core.states import LIVE, TASK, UNFINISHED
from workers.models import Worker

PLACEMENTS = ("spread", "binpack")


class Cluster(models.Model):
    """A group of services. One that is being removed stays until its last task has stopped."""

    name = models.CharField(max_length=100, unique=True)
    placement = models.CharField(max_length=16, choices=[(p, p) for p in PLACEMENTS], default="spread")
    removed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TaskDefinition(models.Model):
    """What a task runs. Rows never change: other content needs another version."""

    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField()
    document = models.JSONField(help_text="normalised; see clusters.core.document.TaskDefinition")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "-version"]
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="one_definition_per_version")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class ServiceQuerySet(models.QuerySet["Service"]):
    def present(self) -> "ServiceQuerySet":
        return self.filter(removed_at=None)

    def counted(self) -> "ServiceQuerySet":
        """With `issued` (tasks that should run) and `actual` (tasks that run and are healthy)."""
        return self.annotate(
            issued=Count("tasks", filter=Q(tasks__state__in=LIVE)),
            actual=Count("tasks", filter=Q(tasks__state="running")),
        )

    def due(self, now: datetime) -> "ServiceQuerySet":
        return self.filter(reconcile_at__lte=now)


class Service(models.Model):
    """How many tasks of which definition a cluster keeps running. Without a cluster it is kept, but not run."""

    name = models.CharField(max_length=100, unique=True)
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.SET_NULL, related_name="services")
    definition = models.ForeignKey(TaskDefinition, on_delete=models.PROTECT, related_name="services")
    desired = models.PositiveIntegerField()
    min = models.PositiveIntegerField(help_text="an upgrade keeps at least so many healthy")
    max = models.PositiveIntegerField(help_text="an upgrade issues at most so many")
    placement = models.CharField(
        max_length=16, choices=[(p, p) for p in PLACEMENTS], blank=True, help_text="empty for the cluster's"
    )
    max_attempts = models.PositiveIntegerField(null=True, blank=True, help_text="empty for the definition's")
    reason = models.TextField(blank=True, help_text="why it is not as desired")
    reconcile_at = models.DateTimeField(null=True, blank=True, db_index=True, help_text="when to look at it again")
    removed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    objects = ServiceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TaskQuerySet(models.QuerySet["Task"]):
    def live(self) -> "TaskQuerySet":
        return self.filter(state__in=LIVE)

    def unfinished(self) -> "TaskQuerySet":
        return self.filter(state__in=UNFINISHED)

    def occupying(self) -> "TaskQuerySet":
        """Tasks whose processes may be on a host, also lost ones that were not yet told to stop."""
        owed = Q(state="lost", resend_at__isnull=False, host__isnull=False)
        return self.filter(Q(state__in=UNFINISHED) | owed)

    def relevant(self) -> "TaskQuerySet":
        """What a decision about a service needs: unfinished tasks, and ended ones that wait to be replaced."""
        return self.filter(Q(state__in=UNFINISHED) | Q(next_issue_at__isnull=False))

    def disturbed(self) -> "TaskQuerySet":
        """Unfinished tasks that cannot stay as they are because of their host."""
        return self.unfinished().filter(
            Q(host=None) | Q(host__state="disconnected") | Q(host__draining=True, leaving="", state__in=LIVE)
        )

    def to_send(self, now: datetime) -> "TaskQuerySet":
        """Tasks about which something is to be sent again, to hosts that can be spoken to."""
        return self.filter(resend_at__lte=now, host__state="connected")

    def outdated(self, before: datetime) -> "TaskQuerySet":
        """Tasks that ended before that time and that nothing waits for."""
        finished = self.filter(state__in=TASK.final, ended_at__lt=before, next_issue_at=None)
        return finished.filter(Q(resend_at=None) | Q(host=None))

    def unheard(self) -> "TaskQuerySet":
        """Live tasks of which their host's present session has said nothing."""
        return self.live().filter(resend_at=None, host__state="connected").exclude(session=F("host__session"))


class Task(models.Model):
    """One issued instance of a service on one host. `id` names it to its agent; `name` is for people."""

    id = models.CharField(max_length=36, primary_key=True, help_text="UUIDv7, so ids sort by time")
    name = models.CharField(max_length=255, help_text="<cluster>-<service>-<version>-<instance>")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="tasks")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="tasks")
    definition = models.ForeignKey(TaskDefinition, on_delete=models.PROTECT, related_name="tasks")
    instance = models.PositiveIntegerField()
    host = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="tasks")
    ports = models.JSONField(default=dict, blank=True, help_text="port name → number on the host")
    state = models.CharField(max_length=16, choices=[(s, s) for s in TASK.states], default="issued")
    attempt = models.PositiveIntegerField(default=1, help_text="the fencing token of what was sent")
    reason = models.TextField(blank=True, help_text="why it is in this state")
    leaving = models.TextField(blank=True, help_text="why it only runs on until it is replaced; empty when it stays")
    restarts = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0, help_text="tries of this instance in a row that never ran")
    avoid = models.JSONField(default=list, blank=True, help_text="ids of hosts that could not run this instance")
    session = models.CharField(max_length=64, blank=True, help_text="the host's session that last spoke of it")

    issued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    resend_at = models.DateTimeField(null=True, blank=True, help_text="sent again when not answered by then")
    next_issue_at = models.DateTimeField(null=True, blank=True, help_text="its instance is issued again from then on")

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["service", "state"]),
            models.Index(fields=["host", "state"]),
            models.Index(fields=["state", "ended_at"]),
            models.Index(fields=["resend_at"], name="task_resend", condition=Q(resend_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["service", "definition", "instance"],
                condition=Q(state__in=sorted(LIVE), leaving=""),
                name="one_task_per_instance",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def unit(self) -> str:
        """Its name in orders and reports."""
        return f"task/{self.id}"
