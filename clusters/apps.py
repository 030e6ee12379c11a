"""Django's entry to the app."""

from django.apps import AppConfig


class ClustersConfig(AppConfig):
    name = "clusters"
    verbose_name = "Clusters"

    def ready(self) -> None:
        from clusters.store import apply_reports
        from clusters.tellers import tasks_of
        from workers import tellers, units

        units.register_kind("task", apply_reports)
        tellers.tell_of_hosts(tasks_of)
