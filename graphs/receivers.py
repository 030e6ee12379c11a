"""What the app does on news from the ground. Whatever is missed here is found by the sweep."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from graphs import store
from graphs.models import Graph
from workers.models import Command

OWNER_PREFIX = "component/"


def on_graphs_ended(sender: Any, graphs: Sequence[Graph], **_: Any) -> None:
    """Tells the graphs that these were inside of."""
    if any(graph.parent_id is not None for graph in graphs):
        store.settle_parents(graphs, timezone.now())


def on_commands_ended(sender: Any, commands: Sequence[Command], **_: Any) -> None:
    """Settles the components that these commands carried out."""
    ours = [command for command in commands if command.owner.startswith(OWNER_PREFIX)]
    if ours:
        store.settle_commands(ours, timezone.now())


def on_forgetting_commands(sender: Any, commands: Sequence[Command], **_: Any) -> set[str]:
    """Those that carried out components of graphs which are not over."""
    graph_of = {command.id: graph_in(command.owner) for command in commands if command.owner.startswith(OWNER_PREFIX)}
    unfinished = store.unfinished_among(set(graph_of.values()))
    return {command_id for command_id, graph_id in graph_of.items() if graph_id in unfinished}


def graph_in(owner: str) -> str:
    """The graph's id in `component/<graph>/<component>/<attempt>`; it holds no slashes."""
    return owner.removeprefix(OWNER_PREFIX).partition("/")[0]
