"""One transaction's work on locked graphs: what is told of them, and what their rows become, written at its end.

Invariant: each graph's events are numbered from 1 without gaps, in the order in which they are committed. The graph's
row is locked from before the first until the transaction ends, and the number of the last is saved with them: nobody
else takes a number between, and a transaction that is rolled back takes none.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import transaction
from msgspec.structs import replace

from graphs.core.ends import must_look
from graphs.core.states import COMPONENT
from graphs.models import Graph
from graphs.store.ending import blocker_updates, end_if_over
from graphs.store.rows import carry_out, carry_out_at_last, locked
from scheduler_project.toolkit.bulk import updates
from scheduler_project.toolkit.events import NewEvent, recording
from scheduler_project.toolkit.statements import Outcome, Statement

SAVED = (
    *COMPONENT.states,
    *("state", "reason", "version", "events", "run", "needs_attention", "forgiven", "cancel_requested_at", "paused_at"),
    *("started_at", "ended_at", "announce_at", "announced_at"),
)


class Ledger:
    """The locked graphs of a transaction by id. Whoever alters one says so with `alter`, and tells events with `tell`.

    `silent_providers`: whether there are any that did not answer of late. `beside`: what was read with the graphs.
    `blockers`: new numbers of blockers by primary key, still to be written.
    """

    def __init__(self, graphs: Mapping[str, Graph], now: datetime, beside: Sequence[Outcome] = ()) -> None:
        self.graphs = graphs
        self.now = now
        self.beside = beside
        self.silent_providers = any(getattr(graph, "silent_providers", False) for graph in graphs.values())
        self._altered: dict[str, Graph] = {}
        self._told: dict[str, Graph] = {}
        self._events: list[NewEvent] = []
        self._later: list[Statement] = []
        self.blockers: dict[int, int] = {}

    def later(self, statements: Sequence[Statement]) -> None:
        """Has these run with the next that must be waited for, and at the end of the transaction at the latest.

        Whoever reads in this transaction what they write asks with `find`, or calls `flush` before.
        """
        self._later += statements

    def flush(self) -> None:
        """Runs what was left for later. Raises LostRace."""
        carry_out(self._taken())

    def find(self, statement: Statement) -> Outcome:
        """What a statement finds when all that was left for later is done. Raises LostRace."""
        return carry_out([*self._taken(), statement])[-1]

    def _taken(self) -> list[Statement]:
        """All that was left for later, which the caller runs."""
        statements = [*blocker_updates(self.blockers), *self._later]
        self.blockers, self._later = {}, []
        return statements

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
        if any(must_look(graph.standing) for graph in self._altered.values()):
            self.flush()
        for graph in self._altered.values():
            self.tell(*end_if_over(graph, self.now))
            graph.version += 1
        self.later(updates(list((self._told | self._altered).values()), SAVED))
        self.later(recording(self._events, self.now))
        carry_out_at_last(self._taken())


@contextmanager
def writing(graph_ids: Any, now: datetime, beside: Sequence[Statement] = ()) -> Iterator[Ledger]:
    """A transaction on these graphs, locked; those that do not exist are not in the ledger.

    What `beside` asks is read under the locks, and in one exchange with them.
    """
    with transaction.atomic():
        graphs, found = locked(graph_ids, beside)
        ledger = Ledger(graphs, now, found)
        yield ledger
        ledger.close()
