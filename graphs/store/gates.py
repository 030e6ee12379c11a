"""Which of what is ready may be claimed now: bounds of graphs and of providers, and providers that do not answer.

The number of queries depends on how many bounds there are, not on how much is ready.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import Q

from graphs.core.rules import RULES
from graphs.models import Circuit, Component, ComponentQuerySet, Graph, ProviderLimit
from graphs.providers import provider
from graphs.store import circuits
from graphs.store.ledger import Ledger


@dataclass
class Gate:
    """`room` has how many more components each bounded provider takes.

    `shut` are words of silent providers; of each in `trial` one component may be sent, to see.
    """

    backends: Sequence[str]
    room: dict[str, int] = field(default_factory=dict)
    shut: Sequence[str] = ()
    trial: Sequence[Circuit] = ()

    @property
    def open_backends(self) -> list[str]:
        """Providers that take at least one more."""
        return [alias for alias in self.backends if self.room.get(alias, 1) > 0]


def look(backends: Sequence[str], now: datetime) -> Gate:
    """The gate as it stands, without a lock."""
    return Gate(backends, _room(backends), circuits.shut(now))


def lock(backends: Sequence[str], ledger: Ledger) -> Gate:
    """The gate, with bounded providers locked until the transaction ends."""
    bounded = [alias for alias in backends if provider(alias).at_once]
    for alias in sorted(bounded):
        ProviderLimit.objects.get_or_create(alias=alias)
    if bounded and connection.features.has_select_for_update:
        list(ProviderLimit.objects.filter(alias__in=bounded).order_by("alias").select_for_update())
    gate = Gate(backends, _room(backends))
    if ledger.silent_providers:
        gate.shut = circuits.shut(ledger.now)
        gate.trial = circuits.to_probe(ledger.now)
    return gate


def _room(backends: Sequence[str]) -> dict[str, int]:
    """Counts what runs, up to each bound, with an index that holds no more than that."""
    running = Component.objects.changes().filter(state="running")
    bounds = {alias: provider(alias).at_once for alias in backends}
    return {alias: bound - running.filter(backend=alias)[:bound].count() for alias, bound in bounds.items() if bound}


def ready_rows(gate: Gate, graphs: Mapping[str, Graph], limit: int, now: datetime) -> tuple[list[Component], bool]:
    """At most about `limit` components to start in these locked graphs, and whether there may be more."""
    found: list[Component] = []
    more = False
    shut = [*gate.shut, *(circuit.pk for circuit in gate.trial)]
    for condition, places in _selections(graphs):
        ready = Component.objects.ready().filter(condition)
        rows = _trials(gate, ready, places, now)
        for aliases, room in _shares(gate):
            left = limit - len(found) - len(rows)
            bounds = [left, room, None if places is None else places - len(rows)]
            count = min(bound for bound in bounds if bound is not None)
            if count > 0:
                some = list(ready.filter(backend__in=aliases).exclude(provider__in=shut)[:count])
                more = more or len(some) == left
                rows += some
        found += rows
        for row in rows:
            if row.backend in gate.room:
                gate.room[row.backend] -= 1
    return found, more


def _trials(gate: Gate, ready: ComponentQuerySet, places: int | None, now: datetime) -> list[Component]:
    """One component for each silent provider that has been left alone for long enough, if nobody else has sent one."""
    rows: list[Component] = []
    for circuit in gate.trial:
        first = ready.filter(provider=circuit.pk, backend__in=gate.open_backends).first()
        if first is not None and len(rows) != places and circuits.take_probe(circuit, now):
            rows.append(first)
    return rows


def _shares(gate: Gate) -> Iterator[tuple[list[str], int | None]]:
    """The unbounded providers together, then each bounded one with its room."""
    unbounded = [alias for alias in gate.backends if alias not in gate.room]
    if unbounded:
        yield unbounded, None
    for alias in gate.room:
        yield [alias], gate.room[alias]


def _selections(graphs: Mapping[str, Graph]) -> Iterator[tuple[Q, int | None]]:
    """Conditions on what is ready: the unbounded graphs that start alike together, each bounded one with its room."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for graph in graphs.values():
        rules = graph.rules_that_start
        if rules and graph.room is None:
            alike.setdefault(rules, []).append(graph.pk)
        elif rules and graph.room:
            yield _in([graph.pk], rules), graph.room
    for rules, ids in alike.items():
        yield _in(ids, rules), None


def _in(graph_ids: list[str], rules: tuple[str, ...]) -> Q:
    condition = Q(graph_id__in=graph_ids)
    return condition if rules == RULES else condition & Q(rule__in=rules)
