"""Django's entry to the app."""

from django.apps import AppConfig


class ClustersConfig(AppConfig):
    name = "clusters"
    verbose_name = "Clusters"

    def ready(self) -> None:
        from clusters.store import apply_reports
        from workers import units

        units.register_kind("task", apply_reports)
