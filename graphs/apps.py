"""Django's entry to the app."""

from django.apps import AppConfig
from django.core.checks import register


class GraphsConfig(AppConfig):
    name = "graphs"
    verbose_name = "Graphs"

    def ready(self) -> None:
        from graphs.checks import check_providers
        from graphs.receivers import on_commands_ended, on_forgetting_commands, on_graphs_ended
        from graphs.signals import graphs_ended
        from workers.signals import commands_ended, forgetting_commands

        register(check_providers)
        commands_ended.connect(on_commands_ended, dispatch_uid="graphs.receivers")
        graphs_ended.connect(on_graphs_ended, dispatch_uid="graphs.parents")
        forgetting_commands.connect(on_forgetting_commands, dispatch_uid="graphs.receivers")
