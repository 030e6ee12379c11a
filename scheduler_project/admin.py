"""The admin of what all apps share: events, leases, API tokens, users and groups.

Invariant: events and leases can only be looked at, and a token is shown once, on the page after it was made.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from scheduler_project.models import ApiToken, Event, Lease
from scheduler_project.toolkit.access import digest, new_token

admin.site.unregister(User)
admin.site.unregister(Group)


class ReadOnlyAdmin(ModelAdmin):
    """Lists and shows rows; nobody changes them here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("id", "at", "level", "name", "subject", "message", "actor")
    list_filter = ("level", "name")
    search_fields = ("subject", "name", "message", "actor")
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "holder", "token", "expires_at")


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    list_display = ("name", "user", "created_at", "expires_at")
    search_fields = ("name", "user__username")
    autocomplete_fields = ("user",)
    readonly_fields = ("created_at",)
    fields = ("name", "user", "expires_at", "created_at")

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Makes the token of a new row and shows it; only its digest is kept."""
        if not change:
            token = new_token()
            obj.digest = digest(token)
            obj.created_at = timezone.now()
            messages.warning(request, f"Copy the token now, it is not shown again: {token}")
        super().save_model(request, obj, form, change)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_staff", "last_login")


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass
