"""Which of what is ready may be claimed now: bounds of graphs and of providers, and providers that do not answer.

The number of queries depends on how many bounds there are, not on how much is ready.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from graphs.core.rules import RULES
from graphs.models import Circuit, Component, Graph, ProviderLimit
from graphs.providers import provider
from graphs.store import circuits
from graphs.store.ledger import Ledger
from scheduler_project.toolkit.statements import among, instances, selecting, several

READY = """
SELECT {columns} FROM graphs_component
WHERE part = 'changes' AND state = 'waiting' AND blockers = 0 AND {graphs} AND {backends}{conditions}
ORDER BY graph_id, position, id LIMIT %s
"""


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


@dataclass(frozen=True)
class _Group:
    """Graphs in which components with the same rules may start, and how many in all; None for any number."""

    graph_ids: Sequence[str]
    rules: tuple[str, ...]
    places: int | None = None


def look(backends: Sequence[str], now: datetime) -> Gate:
    """The gate as it stands, without a lock."""
    return Gate(backends, _room(backends), circuits.shut(now))


def lock(backends: Sequence[str], ledger: Ledger) -> Gate:
    """The gate, with bounded providers locked until the transaction ends."""
    bounded = [alias for alias in backends if provider(alias).at_once]
    if bounded or ledger.silent_providers:
        ledger.flush()
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
    bounds = {alias: bound for alias in backends if (bound := provider(alias).at_once)}
    if not bounds:
        return {}
    running = Component.objects.changes().filter(state="running")
    return {alias: bound - running.filter(backend=alias)[:bound].count() for alias, bound in bounds.items()}


def ready_rows(gate: Gate, graphs: Mapping[str, Graph], limit: int, ledger: Ledger) -> tuple[list[Component], bool]:
    """At most about `limit` components to start in these locked graphs, and whether there may be more."""
    found: list[Component] = []
    more = False
    shut = [*gate.shut, *(circuit.pk for circuit in gate.trial)]
    for group in _alike(graphs):
        places = group.places
        rows = _trials(gate, group, ledger.now)
        for aliases, room in _shares(gate):
            left = limit - len(found) - len(rows)
            bounds = [left, room, None if places is None else places - len(rows)]
            count = min(bound for bound in bounds if bound is not None)
            if count > 0:
                some = _ready(group, aliases, shut, count, ledger)
                more = more or len(some) == left
                rows += some
        found += rows
        for row in rows:
            if row.backend in gate.room:
                gate.room[row.backend] -= 1
    return found, more


def _ready(group: _Group, backends: Sequence[str], shut: Sequence[str], limit: int, ledger: Ledger) -> list[Component]:
    """What is ready in the graphs of a group for these providers, in the order of the edges that lead to it."""
    sql = READY.replace("{graphs}", among("graph_id") if len(group.graph_ids) > 1 else "graph_id = %s")
    sql = sql.replace("{backends}", among("backend"))
    graphs = several(group.graph_ids) if len(group.graph_ids) > 1 else group.graph_ids[0]
    values = [graphs, several(backends)]
    conditions = ""
    if group.rules != RULES:
        conditions += f" AND {among('rule')}"
        values.append(several(group.rules))
    if shut:
        conditions += f" AND NOT ({among('provider')})"
        values.append(several(shut))
    statement = selecting(Component, sql.replace("{conditions}", conditions), [*values, limit])
    return instances(Component, ledger.find(statement).rows)


def _trials(gate: Gate, group: _Group, now: datetime) -> list[Component]:
    """One component for each silent provider that has been left alone for long enough, if nobody else has sent one."""
    rows: list[Component] = []
    for circuit in gate.trial:
        ready = Component.objects.ready().filter(graph_id__in=group.graph_ids, rule__in=group.rules)
        first = ready.filter(provider=circuit.pk, backend__in=gate.open_backends).first()
        if first is not None and len(rows) != group.places and circuits.take_probe(circuit, now):
            rows.append(first)
    return rows


def _shares(gate: Gate) -> Iterator[tuple[list[str], int | None]]:
    """The unbounded providers together, then each bounded one with its room."""
    unbounded = [alias for alias in gate.backends if alias not in gate.room]
    if unbounded:
        yield unbounded, None
    for alias in gate.room:
        yield [alias], gate.room[alias]


def _alike(graphs: Mapping[str, Graph]) -> Iterator[_Group]:
    """Each bounded graph with its room, and then the unbounded graphs that start alike together."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for graph in graphs.values():
        rules = graph.rules_that_start
        if rules and graph.room is None:
            alike.setdefault(rules, []).append(graph.pk)
        elif rules and graph.room:
            yield _Group([graph.pk], rules, graph.room)
    for rules, ids in alike.items():
        yield _Group(ids, rules)
