"""Django's entry to the roof."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SchedulerProjectConfig(AppConfig):
    name = "scheduler_project"
    verbose_name = "Scheduler"

    def ready(self) -> None:
        """Binds the shared tasks of all apps to the project's Celery app; keeps the roles' permissions up to date."""
        from scheduler_project import celery  # noqa: F401
        from scheduler_project.roles import grant_permissions

        post_migrate.connect(grant_permissions, dispatch_uid="roles")
