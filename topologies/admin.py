"""The admin of topologies and runs: to look, and to run, pause, unpause or kill through the store.

Invariant: no row is added, edited or deleted here, because that would go around the one writer.
"""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from scheduler_project.toolkit.errors import SchedulerError
from scheduler_project.toolkit.masking import masked
from topologies import store
from topologies.models import Run, Topology
from workers.admin import LookOnlyAdmin


@admin.register(Topology)
class TopologyAdmin(LookOnlyAdmin):
    list_display = ("name", "state", "cron", "timezone", "at", "overlap", "next_run_at", "version", "reason")
    list_filter = ("state", "overlap")
    search_fields = ("name", "reason")
    exclude = ("spec",)
    readonly_fields = ("document",)
    actions = ("run_now", "pause", "unpause")

    @admin.display(description="as it was asked for, without its secrets")
    def document(self, topology: Topology) -> str:
        return json.dumps(masked(topology.spec), indent=2, ensure_ascii=False)

    @admin.action(description="Run now", permissions=["operate"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Topology]) -> None:
        self._each(request, queryset, store.run_now, "runs")

    @admin.action(description="Pause: fire no more", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Topology]) -> None:
        self._each(request, queryset, store.pause, "is paused")

    @admin.action(description="Unpause: fire again", permissions=["operate"])
    def unpause(self, request: HttpRequest, queryset: QuerySet[Topology]) -> None:
        self._each(request, queryset, store.unpause, "is active")

    def _each(self, request: HttpRequest, queryset: QuerySet[Topology], act: Callable[..., Any], done: str) -> None:
        for name in queryset.values_list("name", flat=True):
            try:
                act(name, timezone.now(), request.user.get_username())
            except SchedulerError as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"topology {name} {done}", messages.SUCCESS)


@admin.register(Run)
class RunAdmin(LookOnlyAdmin):
    list_display = ("id", "topology", "kind", "scheduled_at", "state", "started_at", "ended_at", "actor", "reason")
    list_filter = ("state", "kind")
    list_select_related = ("topology",)
    search_fields = ("id", "topology__name", "actor", "reason")
    date_hierarchy = "scheduled_at"
    actions = ("kill",)

    @admin.action(description="Kill: stop what runs, start nothing more", permissions=["operate"])
    def kill(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        for run_id in queryset.values_list("pk", flat=True):
            try:
                store.kill(run_id, timezone.now(), request.user.get_username())
            except SchedulerError as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"run {run_id} is being stopped", messages.SUCCESS)
