"""Topologies and their runs."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import OuterRef, Q, Subquery

from topologies.core.fire import OVERLAPS
from topologies.core.states import RUN, TOPOLOGY
from topologies.core.triggers import AtTrigger, CronTrigger, Trigger, trigger_of

BY_THE_CLOCK = ("cron", "once")


class TopologyQuerySet(models.QuerySet["Topology"]):
    def present(self) -> "TopologyQuerySet":
        """All but the deleted ones."""
        return self.exclude(state="deleted")

    def due(self, now: datetime) -> "TopologyQuerySet":
        """Active topologies whose next fire has come, the longest waiting first."""
        return self.filter(state="active", next_run_at__lte=now).order_by("next_run_at")

    def with_last_run(self) -> "TopologyQuerySet":
        """Each with `last_run_id`, the id of its newest run, or None."""
        newest = Run.objects.filter(topology=OuterRef("pk")).order_by("-id").values("id")[:1]
        return self.annotate(last_run_id=Subquery(newest))


class Topology(models.Model):
    """A graph and when to run it. A deleted one stays, with its runs; its name may be given to a new one."""

    name = models.CharField(max_length=255)
    spec = models.JSONField(help_text="what the user asked for, in one spelling")
    overlap = models.CharField(
        max_length=8,
        choices=[(one, one) for one in OVERLAPS],
        help_text="whether it fires while a run of it is in progress",
    )
    state = models.CharField(max_length=16, choices=[(s, s) for s in TOPOLOGY.states], default="active")
    reason = models.TextField(blank=True, help_text="why it is in this state, or fires no more")
    version = models.PositiveIntegerField(default=1, help_text="grows with every change of what the user asked for")
    next_run_at = models.DateTimeField(null=True, blank=True, help_text="the next fire, empty for none")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = TopologyQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "topologies"
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=~Q(state="deleted"), name="one_topology_per_name"),
        ]
        indexes = [
            models.Index(fields=["next_run_at"], condition=Q(state="active"), name="topology_due"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def trigger(self) -> Trigger:
        return trigger_of(self.spec["trigger"])

    @property
    def cron(self) -> str:
        """The cron expression, empty for a topology without one."""
        return self.trigger.expression if isinstance(self.trigger, CronTrigger) else ""

    @property
    def timezone(self) -> str:
        """The time zone of the cron expression, empty for a topology without one."""
        return self.trigger.timezone if isinstance(self.trigger, CronTrigger) else ""

    @property
    def at(self) -> datetime | None:
        """When it fires once, None for other topologies."""
        return self.trigger.at if isinstance(self.trigger, AtTrigger) else None

    @property
    def components(self) -> list[dict[str, Any]]:
        """The components of its graph, as the user wrote them."""
        found: list[dict[str, Any]] = self.spec["graph"]["components"]
        return found


class RunQuerySet(models.QuerySet["Run"]):
    def in_progress(self) -> "RunQuerySet":
        return self.filter(state="running")


class Run(models.Model):
    """One fire of a topology: a graph, or the record of why there is none."""

    id = models.CharField(max_length=36, primary_key=True, help_text="UUIDv7, so ids sort by time")
    topology = models.ForeignKey(Topology, on_delete=models.PROTECT, related_name="runs")
    topology_version = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=[(k, k) for k in (*BY_THE_CLOCK, "instant")])
    scheduled_at = models.DateTimeField(help_text="the instant of the trigger, or when it was asked for")
    state = models.CharField(max_length=16, choices=[(s, s) for s in RUN.states])
    reason = models.TextField(blank=True, help_text="why it is in this state")
    graph_id = models.CharField(max_length=255, blank=True, help_text="empty where there is no graph")
    actor = models.CharField(max_length=150, blank=True, help_text="who asked for it, empty for the clock")
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, unique=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["topology", "scheduled_at"], condition=Q(kind__in=BY_THE_CLOCK), name="one_run_per_fire"
            ),
        ]
        indexes = [
            models.Index(fields=["graph_id"], condition=Q(state="running"), name="run_in_progress"),
            models.Index(fields=["topology", "id"], name="run_by_topology"),
        ]

    def __str__(self) -> str:
        return f"{self.topology} {self.scheduled_at:%Y-%m-%d %H:%M:%S} {self.state}"
