"""The admin of graphs: to look, and to cancel through the store.

Invariant: no row is added, edited or deleted here, because that would go around the one writer.
"""

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
    actions = ("cancel",)

    @admin.display(description="completed")
    def progress(self, graph: Graph) -> str:
        return f"{graph.completed} of {sum(graph.counts.values())}"

    @admin.action(description="Cancel: start nothing more", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Graph]) -> None:
        for graph_id in queryset.values_list("pk", flat=True):
            try:
                store.cancel(graph_id, timezone.now(), request.user.get_username())
            except SchedulerError as error:
                self.message_user(request, str(error), messages.WARNING)
            else:
                self.message_user(request, f"graph {graph_id}: starts nothing more", messages.SUCCESS)


@admin.register(Component)
class ComponentAdmin(LookOnlyAdmin):
    list_display = ("component_id", "graph", "part", "type", "verb", "provider", "state", "attempt", "reason")
    list_filter = ("part", "state", "backend", "verb")
    list_select_related = ("graph",)
    search_fields = ("component_id", "graph__id", "graph__name", "reason")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Component, Any]:
        return super().get_queryset(request).order_by("-id")
