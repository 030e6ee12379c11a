"""Django's entry to the app."""

from django.apps import AppConfig


class TopologiesConfig(AppConfig):
    name = "topologies"
    verbose_name = "Topologies"

    def ready(self) -> None:
        """Listens for the ends of graphs."""
        from graphs.signals import forgetting_graphs, graphs_ended
        from topologies.receivers import on_forgetting_graphs, on_graphs_ended

        graphs_ended.connect(on_graphs_ended, dispatch_uid="topologies.receivers")
        forgetting_graphs.connect(on_forgetting_graphs, dispatch_uid="topologies.receivers")
