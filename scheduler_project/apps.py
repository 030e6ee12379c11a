"""Django's entry to the roof."""

from django.apps import AppConfig


class SchedulerProjectConfig(AppConfig):
    name = "scheduler_project"
    verbose_name = "Scheduler"

    def ready(self) -> None:
        """Binds the shared tasks of all apps to the project's Celery app."""
        from scheduler_project import celery  # noqa: F401
