"""The admin of graphs: to look, and to cancel through the store.

Invariant: no row is added, edited or deleted here, because that would go around the one writer.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from graphs import store
from graphs.models import Component, Graph
from scheduler_project.toolkit.errors import SchedulerError
from workers.admin import LookOnlyAdmin


@admin.register(Graph)
class GraphAdmin(LookOnlyAdmin):
    list_display = ("id", "name", "action", "state", "progress", "source", "actor", "created_at", "ended_at", "reason")
    list_filter = ("state", "action", "source")
    search_fields = ("id", "name", "username", "actor", "reason")
    date_hierarchy = "created_at"
    actions = ("cancel", "pause", "unpause", "resume")

    @admin.display(description="completed")
    def progress(self, graph: Graph) -> str:
        return f"{graph.completed} of {sum(graph.counts.values())}"

    @admin.action(description="Cancel: start nothing more", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Graph]) -> None:
        self.act(request, queryset, store.cancel, "starts nothing more")

    @admin.action(description="Pause: start nothing new", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Graph]) -> None:
        self.act(request, queryset, store.pause, "paused")

    @admin.action(description="Unpause: go on", permissions=["operate"])
    def unpause(self, request: HttpRequest, queryset: QuerySet[Graph]) -> None:
        self.act(request, queryset, store.unpause, "goes on")

    @admin.action(description="Resume: do what did not come to a good end", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Graph]) -> None:
        self.act(request, queryset, store.resume_graph, "resumed")

    def act(
        self, request: HttpRequest, queryset: QuerySet[Graph], act: Callable[[str, datetime, str], Graph], told: str
    ) -> None:
        """Calls a verb of the store for each graph, and tells how each went."""
        for graph_id in queryset.values_list("pk", flat=True):
            try:
                act(graph_id, timezone.now(), request.user.get_username())
            except SchedulerError as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"graph {graph_id}: {told}", messages.SUCCESS)


@admin.register(Component)
class ComponentAdmin(LookOnlyAdmin):
    list_display = ("component_id", "graph", "part", "type", "verb", "provider", "state", "attempt", "reason")
    list_filter = ("part", "state", "backend", "verb")
    list_select_related = ("graph",)
    search_fields = ("component_id", "graph__id", "graph__name", "reason")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Component, Any]:
        return super().get_queryset(request).order_by("-id")
