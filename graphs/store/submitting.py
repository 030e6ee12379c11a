"""Accepts mappings: validated whole, stored whole or not at all, and the same mapping twice is one graph."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import uuid_utils
from django.db import IntegrityError, transaction

from graphs.core.document import ComponentSpec, GraphSpec, parse
from graphs.core.states import COMPONENT
from graphs.core.values import digest
from graphs.core.words import END, START
from graphs.models import Component, Edge, Graph, Part
from graphs.providers import alias_of, component_faults
from graphs.store.claiming import deadline
from graphs.store.ending import end_if_over
from graphs.store.hints import advance_after_commit
from graphs.store.rows import batches
from scheduler_project.toolkit.bulk import insert_values
from scheduler_project.toolkit.errors import Conflict
from scheduler_project.toolkit.events import NewEvent, record


def submit(document: Mapping[str, Any], now: datetime, *, source: str, actor: str = "") -> Graph:
    """Accepts a mapping and starts it. The same id with the same mapping returns the graph that is there already.

    Raises InvalidDocument with every fault, and Conflict where the id is taken by another mapping.
    """
    spec = parse(document, str(uuid_utils.uuid7()), component_faults)
    fingerprint = digest(document)
    existing = _same_graph(spec.id, fingerprint)
    if existing is not None:
        return existing
    try:
        with transaction.atomic():
            return _create(spec, fingerprint, now, source, actor)
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


def _create(spec: GraphSpec, fingerprint: str, now: datetime, source: str, actor: str) -> Graph:
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
        **dict.fromkeys(COMPONENT.states, 0) | Counter(change.state for change in spec.changes),
    )
    _create_edges(graph, spec, _create_components(graph, spec, now))
    record([NewEvent("graph.submitted", f"graph:{graph.id}", f"by {source}", actor=actor)], now)
    if not end_if_over(graph, now):
        advance_after_commit(graph.id)
    return graph


def _create_components(graph: Graph, spec: GraphSpec, now: datetime) -> dict[str, int]:
    """Stores both lists. Returns the primary keys by component id, of the change where an id stands in both."""
    open_changes = {change.component_id for change in spec.changes if change.state != "completed"}
    blockers = {name: len(needed & open_changes) for name, needed in spec.dependencies.items()}
    positions: dict[str, int] = {}
    for position, edge in enumerate(spec.edges):
        positions.setdefault(edge.destination, position)
    keys = _store([_row(graph, Part.EXISTS, component) for component in part] for part in batches(spec.components))
    return keys | _store(
        [
            _row(graph, Part.CHANGE, change)
            | _in_flight(change, now)
            | {
                "state": change.state,
                "backend": alias_of(change.provider),
                "timeout_s": change.timeout_s,
                "attempts": change.attempts,
                "blockers": blockers[change.component_id],
                "position": positions.get(change.component_id, 0),
            }
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


def _in_flight(change: ComponentSpec, now: datetime) -> dict[str, Any]:
    """What is known of an attempt that was begun before the graph came to us."""
    if change.state != "running":
        return {"attempt": 0, "started_at": None, "sent_at": None, "deadline_at": None, "reason": ""}
    reason = "was in flight when the graph was submitted"
    until = deadline(change.timeout_s, now)
    return {"attempt": 1, "started_at": now, "sent_at": now, "deadline_at": until, "reason": reason}


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
