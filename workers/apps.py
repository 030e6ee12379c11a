"""Django's entry to the app."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
    verbose_name = "Workers"

    def ready(self) -> None:
        """Takes the reports on commands and checks the settings."""
        from workers import checks  # noqa: F401
        from workers.store import apply_command_reports
        from workers.units import register_kind

        register_kind("command", apply_command_reports)
