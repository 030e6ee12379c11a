"""The app in the admin: everything is looked at here; it is changed by files, and by the actions that make sense.

Invariant: nothing is written but through the store.
"""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from clusters import store
from clusters.models import Cluster, Service, Task, TaskDefinition
from scheduler_project.toolkit.access import Role, role_of
from scheduler_project.toolkit.errors import SchedulerError
from scheduler_project.toolkit.masking import masked


class LookingOnly(ModelAdmin):
    """A table that people read; operators act on it by its actions."""

    actions_on_top = True
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return role_of(request.user) >= Role.VIEWER

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return role_of(request.user) >= Role.OPERATOR


@admin.register(Cluster)
class ClusterAdmin(LookingOnly):
    list_display = ("name", "placement", "created_at", "changed_at", "removed_at")
    list_filter = ("placement",)
    search_fields = ("name",)
    actions = ("remove",)

    @admin.action(description="Stop and remove with all services", permissions=["operate"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Cluster]) -> None:
        for cluster in queryset:
            try:
                store.remove_cluster(cluster.name, timezone.now(), request.user.get_username())
            except SchedulerError as error:
                self.message_user(request, str(error), messages.ERROR)


@admin.register(Service)
class ServiceAdmin(LookingOnly):
    list_display = ("name", "cluster", "definition", "desired", "issued", "actual", "reason")
    list_filter = ("cluster",)
    list_select_related = ("cluster", "definition")
    search_fields = ("name", "definition__name")
    actions = ("one_more", "one_less")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Service]:
        rows: Any = Service.objects.counted()
        return rows

    @admin.display(ordering="issued")
    def issued(self, row: Any) -> int:
        return int(row.issued)

    @admin.display(ordering="actual")
    def actual(self, row: Any) -> int:
        return int(row.actual)

    @admin.action(description="Scale up by one task", permissions=["operate"])
    def one_more(self, request: HttpRequest, queryset: QuerySet[Service]) -> None:
        self.scale(request, queryset, 1)

    @admin.action(description="Scale down by one task", permissions=["operate"])
    def one_less(self, request: HttpRequest, queryset: QuerySet[Service]) -> None:
        self.scale(request, queryset, -1)

    def scale(self, request: HttpRequest, queryset: QuerySet[Service], by: int) -> None:
        for service in queryset:
            try:
                store.scale(service.name, service.desired + by, timezone.now(), request.user.get_username())
            except SchedulerError as error:
                self.message_user(request, f"{service.name}: {error}", messages.ERROR)


@admin.register(TaskDefinition)
class TaskDefinitionAdmin(LookingOnly):
    list_display = ("name", "version", "created_at")
    search_fields = ("name",)
    fields = ("name", "version", "created_at", "content")

    @admin.display(description="document")
    def content(self, row: TaskDefinition) -> str:
        """The document for people, its secrets masked."""
        return json.dumps(masked(row.document), indent=2, ensure_ascii=False)


@admin.register(Task)
class TaskAdmin(LookingOnly):
    list_display = ("name", "service", "host", "ports", "state", "restarts", "reason", "started_at")
    list_filter = ("state", "cluster", "host")
    list_select_related = ("service", "host")
    search_fields = ("name", "id", "service__name", "host__name")
    actions = ("stop_and_issue_again",)

    @admin.action(description="Stop, and issue again", permissions=["operate"])
    def stop_and_issue_again(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        user = request.user.get_username()
        for task in queryset:
            try:
                store.stop_task(task.pk, f"stopped by {user}", timezone.now(), user)
            except SchedulerError as error:
                self.message_user(request, str(error), messages.ERROR)
