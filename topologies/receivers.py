"""What the app does on news from graphs. Whatever is missed here is found by the periodic task."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from graphs.models import Graph
from topologies import store
from topologies.models import Run
from topologies.store.rows import GRAPH_SOURCE


def on_graphs_ended(sender: Any, graphs: Sequence[Graph], **_: Any) -> None:
    """Ends the runs that these graphs were."""
    ours = [graph.id for graph in graphs if graph.source == GRAPH_SOURCE]
    if ours:
        store.settle_ended(timezone.now(), ours)


def on_forgetting_graphs(sender: Any, graph_ids: Sequence[str], **_: Any) -> set[str]:
    """Those whose runs have not been told yet that they are over."""
    return set(Run.objects.in_progress().filter(graph_id__in=graph_ids).values_list("graph_id", flat=True))
