"""Django's entry to the app."""

from typing import Any

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        """Takes the reports on commands, checks the settings, and lets go of the commands of users that are deleted."""
        from django.contrib.auth import get_user_model
        from django.db.models.signals import pre_delete

        from workers import checks  # noqa: F401
        from workers.store import apply_command_reports
        from workers.units import register_kind

        register_kind("command", apply_command_reports)
        pre_delete.connect(_let_go, sender=get_user_model())


def _let_go(instance: Any, **_: Any) -> None:
    """A user is about to be deleted."""
    from django.utils import timezone

    from workers.store.holding import let_go_of_submitter

    let_go_of_submitter(instance.pk, timezone.now())
