"""What the app does on news from graphs. Whatever is missed here is found by the periodic task."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from graphs.models import Graph
from topologies import store
from topologies.store.rows import GRAPH_SOURCE


def on_graphs_ended(sender: Any, graphs: Sequence[Graph], **_: Any) -> None:
    """Ends the runs that these graphs were."""
    ours = [graph.id for graph in graphs if graph.source == GRAPH_SOURCE]
    if ours:
        store.settle_ended(timezone.now(), ours)
