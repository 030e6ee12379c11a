"""The admin of workers and commands: to look, and to drain or cancel through the store.

Invariant: no row is added, edited or deleted here, because that would go around the one writer.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline

from scheduler_project.toolkit.access import Role, role_of
from scheduler_project.toolkit.errors import SchedulerError
from workers import store
from workers.models import Command, CommandAttempt, Worker

ByName = Callable[[str, datetime, str], None]


class LookOnlyAdmin(ModelAdmin):
    """Viewers look; operators also run the actions."""

    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return role_of(request.user) >= Role.VIEWER

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role_of(request.user) >= Role.VIEWER

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Asked by Django for actions with the permission `operate`."""
        return role_of(request.user) >= Role.OPERATOR

    def has_administer_permission(self, request: HttpRequest) -> bool:
        """Asked by Django for actions with the permission `administer`."""
        return role_of(request.user) >= Role.ADMIN


@admin.register(Worker)
class WorkerAdmin(LookOnlyAdmin):
    list_display = ("name", "state", "draining", "running", "slots", "address", "version", "last_seen_at", "reason")
    list_filter = ("state", "draining", "version")
    search_fields = ("name", "id", "address", "reason")
    actions = ("drain", "undrain", "remove", "revoke")

    @admin.action(description="Drain: take nothing new", permissions=["operate"])
    def drain(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        self._set_draining(request, queryset, True, "draining")

    @admin.action(description="Undrain: take work again", permissions=["operate"])
    def undrain(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        self._set_draining(request, queryset, False, "taking work")

    @admin.action(description="Remove: forget what is disconnected", permissions=["operate"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        self._each(request, queryset, store.remove, "removed")

    @admin.action(description="Revoke the key: trust it no longer", permissions=["administer"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        self._each(request, queryset, store.revoke, "revoked")

    def _each(self, request: HttpRequest, queryset: QuerySet[Worker], act: ByName, word: str) -> None:
        """Acts on every chosen worker, and tells each refusal."""
        for name in list(queryset.values_list("name", flat=True)):
            try:
                act(name, timezone.now(), request.user.get_username())
            except SchedulerError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"{word}: {name}", messages.SUCCESS)

    def _set_draining(self, request: HttpRequest, queryset: QuerySet[Worker], draining: bool, word: str) -> None:
        names = list(queryset.values_list("name", flat=True))
        for name in names:
            store.set_draining(name, draining, timezone.now(), request.user.get_username())
        self.message_user(request, f"{word}: {', '.join(names)}", messages.SUCCESS)


class AttemptInline(TabularInline):
    """The attempts of a command that were followed by a retry."""

    model = CommandAttempt
    fields = ("attempt", "worker", "state", "exit_code", "signal", "start_error", "reason", "started_at", "ended_at")
    readonly_fields = fields
    extra = 0
    can_delete = False
    verbose_name_plural = "earlier attempts"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return role_of(request.user) >= Role.VIEWER

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Command)
class CommandAdmin(LookOnlyAdmin):
    list_display = (
        "id",
        "state",
        "argv",
        "worker",
        "user",
        "priority",
        "attempt",
        "array_index",
        "exit_code",
        "created_at",
        "ended_at",
        "reason",
    )
    list_filter = ("state", "worker", "timed_out", "start_error_kind")
    list_select_related = ("worker",)
    search_fields = ("id", "array_id", "owner", "on", "reason")
    exclude = ("stdin",)
    inlines = (AttemptInline,)
    actions = ("cancel",)

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Command]) -> None:
        actor = request.user.get_username()
        ids = list(queryset.values_list("id", flat=True))
        store.cancel(ids, timezone.now(), actor, f"cancelled by {actor}")
        self.message_user(request, f"asked to be cancelled: {len(ids)} commands", messages.SUCCESS)
