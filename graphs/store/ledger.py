"""One transaction's work on locked graphs: what is told of them, and what their rows become, written at its end.

Invariant: each graph's events are numbered from 1 without gaps, in the order in which they are committed. The graph's
row is locked from before the first until the transaction ends, and the number of the last is saved with them: nobody
else takes a number between, and a transaction that is rolled back takes none.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction

from graphs.core.states import COMPONENT
from graphs.models import Graph
from graphs.store.ending import end_if_over
from graphs.store.rows import locked
from scheduler_project.toolkit.bulk import update_rows
from scheduler_project.toolkit.events import NewEvent, record
from scheduler_project.toolkit.statements import use_keys

SAVED = (
    *COMPONENT.states,
    *("state", "reason", "version", "events", "run", "needs_attention", "forgiven", "cancel_requested_at", "paused_at"),
    *("started_at", "ended_at", "announce_at", "announced_at"),
)


class Ledger:
    """The locked graphs of a transaction by id. Whoever alters one says so with `alter`, and tells events with `tell`.

    `silent_providers`: whether there are any that did not answer of late.
    """

    def __init__(self, graphs: Mapping[str, Graph], now: datetime) -> None:
        self.graphs = graphs
        self.now = now
        self.silent_providers = any(getattr(graph, "silent_providers", False) for graph in graphs.values())
        self._altered: dict[str, Graph] = {}
        self._told: dict[str, Graph] = {}
        self._events: list[NewEvent] = []

    def tell(self, *events: NewEvent) -> None:
        """These things happened, in this order. An event of a graph is numbered in its graph's own log."""
        for event in events:
            graph = self.graphs.get(event.subject.removeprefix("graph:"))
            if graph is not None:
                graph.events += 1
                self._told[graph.pk] = graph
                event = replace(event, data={**event.data, "number": graph.events, "run": graph.run})
            self._events.append(event)

    def alter(self, graph: Graph) -> None:
        """The graph's counters have changed; the first component that starts makes it running."""
        self._altered[graph.pk] = graph
        if graph.state == "pending" and graph.running + graph.completed + graph.errored:
            graph.state, graph.started_at = "running", self.now
            self.tell(NewEvent("graph.running", f"graph:{graph.pk}", data=graph.counts))

    def close(self) -> None:
        """Ends the altered graphs that are over, and writes all that is to be written."""
        for graph in self._altered.values():
            self.tell(*end_if_over(graph, self.now))
            graph.version += 1
        update_rows(list((self._told | self._altered).values()), SAVED)
        record(self._events, self.now)


@contextmanager
def writing(graph_ids: Any, now: datetime) -> Iterator[Ledger]:
    """A transaction on these graphs, locked; those that do not exist are not in the ledger."""
    with transaction.atomic():
        use_keys()
        ledger = Ledger(locked(graph_ids), now)
        yield ledger
        ledger.close()
