"""Submitting a mapping stores it whole or not at all, once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from graphs import store
from graphs.models import Component, Edge, Graph
from scheduler_project.toolkit.errors import Conflict, InvalidDocument

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def mapping(**changed: Any) -> dict[str, Any]:
    change = {"_component": "vpc", "_component_id": "vpc::a", "_action": "create", "_provider": "demo"}
    return {
        "id": "b1",
        "action": "build.create",
        "user_id": 9007199254740993,
        "changes": [change],
        "edges": [{"source": "start", "destination": "vpc::a"}, {"source": "vpc::a", "destination": "end"}],
    } | changed


def test_a_mapping_is_stored_whole() -> None:
    graph = store.submit(mapping(datacenters={"items": [1]}), NOW, source="http", actor="ann")

    assert (graph.state, graph.waiting, graph.actor) == ("pending", 1, "ann")
    assert graph.user_id == 9007199254740993
    assert graph.extra == {"datacenters": {"items": [1]}}
    assert Component.objects.changes().get().blockers == 0
    assert Edge.objects.count() == 2


def test_the_same_mapping_again_is_the_same_graph() -> None:
    first = store.submit(mapping(), NOW, source="http")
    assert store.submit(mapping(), NOW, source="nats") == first
    assert Component.objects.count() == 1


def test_another_mapping_under_a_taken_id_is_refused() -> None:
    store.submit(mapping(), NOW, source="http")
    with pytest.raises(Conflict, match="another mapping"):
        store.submit(mapping(name="other"), NOW, source="http")


def test_a_mapping_without_an_id_gets_one() -> None:
    assert store.submit(mapping(id=""), NOW, source="http").id


def test_an_invalid_mapping_leaves_nothing_behind() -> None:
    with pytest.raises(InvalidDocument):
        store.submit(mapping(edges=[{"source": "start", "destination": "nope"}]), NOW, source="http")
    assert not Graph.objects.exists()


def test_a_mapping_with_nothing_to_do_is_completed_at_once() -> None:
    graph = store.submit({"id": "empty"}, NOW, source="http")
    assert (graph.state, graph.announce_at) == ("completed", NOW)
