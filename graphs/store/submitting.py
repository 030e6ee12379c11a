"""Accepts mappings: validated whole, stored whole or not at all, and the same mapping twice is one graph."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import uuid_utils
from django.db import IntegrityError, transaction

from graphs.core.document import ComponentSpec, GraphSpec, parse
from graphs.core.rules import ALL_COMPLETED, Standing, blockers, standing
from graphs.core.states import COMPONENT, GRAPH
from graphs.core.values import digest
from graphs.core.words import END, START
from graphs.models import Component, Edge, Graph, Part
from graphs.providers import alias_of, component_faults
from graphs.store.hints import advance_after_commit
from graphs.store.ledger import Ledger
from graphs.store.rows import batches
from graphs.store.times import deadline
from scheduler_project.toolkit.bulk import insert_values
from scheduler_project.toolkit.errors import Conflict
from scheduler_project.toolkit.events import NewEvent


@dataclass(frozen=True)
class Inside:
    """The component, by primary key, that a graph carries out, and how many graphs it is inside of."""

    parent_id: int | None = None
    depth: int = 0


def submit(
    document: Mapping[str, Any], now: datetime, *, source: str, actor: str = "", inside: Inside | None = None
) -> Graph:
    """Accepts a mapping and starts it. The same id with the same mapping returns the graph that is there already.

    `inside` is the component that the graph carries out. Raises InvalidDocument with every fault, and Conflict where
    the id is taken by another mapping.
    """
    spec = parse(document, str(uuid_utils.uuid7()), component_faults)
    fingerprint = digest(document)
    existing = _same_graph(spec.id, fingerprint)
    if existing is not None:
        return existing
    try:
        with transaction.atomic():
            return _create(spec, fingerprint, now, source, actor, inside or Inside())
    except IntegrityError:
        existing = _same_graph(spec.id, fingerprint)
        if existing is None:
            raise
        return existing


def _same_graph(graph_id: str, fingerprint: str) -> Graph | None:
    """The graph of this id, if any. Raises Conflict where it was made from another mapping."""
    existing = Graph.objects.filter(pk=graph_id).first()
    if existing is not None and existing.digest != fingerprint:
        raise Conflict(f"there is a graph {graph_id!r} made from another mapping; give this one another id")
    return existing


def _create(spec: GraphSpec, fingerprint: str, now: datetime, source: str, actor: str, inside: Inside) -> Graph:
    graph = Graph.objects.create(
        id=spec.id,
        serial=str(uuid_utils.uuid7()),
        name=spec.name,
        action=spec.action,
        options=spec.options,
        user_id=spec.user_id,
        username=spec.username,
        extra=spec.extra,
        source=source,
        actor=actor,
        digest=fingerprint,
        created_at=now,
        parallel=spec.parallel,
        has_rules=any(change.rule != ALL_COMPLETED for change in spec.changes),
        parent_id=inside.parent_id,
        depth=inside.depth,
        **dict.fromkeys(COMPONENT.states, 0) | Counter(change.state for change in spec.changes),
    )
    _create_edges(graph, spec, _create_components(graph, spec, now))
    ledger = Ledger({graph.pk: graph}, now)
    ledger.tell(NewEvent("graph.submitted", f"graph:{graph.id}", f"by {source}", actor=actor))
    ledger.alter(graph)
    ledger.close()
    if graph.state not in GRAPH.final:
        advance_after_commit(graph.id)
    return graph


def _create_components(graph: Graph, spec: GraphSpec, now: datetime) -> dict[str, int]:
    """Stores both lists. Returns the primary keys by component id, of the change where an id stands in both."""
    standings = {change.component_id: standing(change.state) for change in spec.changes}
    positions: dict[str, int] = {}
    for position, edge in enumerate(spec.edges):
        positions.setdefault(edge.destination, position)
    keys = _store([_row(graph, Part.EXISTS, component) for component in part] for part in batches(spec.components))
    return keys | _store(
        [
            _row(graph, Part.CHANGE, change)
            | _to_do(change, [standings[one] for one in spec.dependencies[change.component_id]], now)
            | {"position": positions.get(change.component_id, 0)}
            for change in part
        ]
        for part in batches(spec.changes)
    )


def _store(parts: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, int]:
    """Stores components, given in parts so that all rows never stand in memory. Returns their keys by component id."""
    keys: dict[str, int] = {}
    for part in parts:
        keys |= insert_values(Component, part, returning=("component_id", "id"))
    return keys


def _row(graph: Graph, part: str, spec: ComponentSpec) -> dict[str, Any]:
    return {
        "graph": graph.id,
        "part": part,
        "component_id": spec.component_id,
        "type": spec.type,
        "provider": spec.provider,
        "verb": spec.verb,
        "document": spec.document,
    }


def _to_do(change: ComponentSpec, needed: Sequence[Standing], now: datetime) -> dict[str, Any]:
    """What a change has and a component that merely exists has not. `needed` is how its dependencies stand."""
    policy, backend, missing = change.policy, alias_of(change.provider), blockers(change.rule, needed)
    running = change.state == "running"
    until = deadline(backend, policy, now) if running else None
    if change.state == "waiting" and not missing and policy.queue_timeout_s:
        until = now + timedelta(seconds=policy.queue_timeout_s)
    return {
        "state": change.state,
        "backend": backend,
        "rule": change.rule,
        "policy": policy.stored(),
        "timeout_s": policy.timeout_s,
        "attempts": policy.attempts,
        "blockers": missing,
        "attempt": int(running),
        "started_at": now if running else None,
        "sent_at": now if running else None,
        "deadline_at": until,
        "reason": "was in flight when the graph was submitted" if running else "",
    }


def _create_edges(graph: Graph, spec: GraphSpec, keys: Mapping[str, int]) -> None:
    """Edges point at changes where an id stands in both lists."""
    for part in batches(spec.edges):
        insert_values(
            Edge,
            [
                {
                    "graph": graph.id,
                    "source": None if edge.source == START else keys[edge.source],
                    "destination": None if edge.destination == END else keys[edge.destination],
                    "length": edge.length,
                }
                for edge in part
            ],
        )
