"""What is read to say why a component is not done: it and what is in its way, however large the graph is."""

from typing import Any

import pytest
from django.db import connection

from graphs import holding, store
from graphs.core.advance import Report
from graphs.core.replies import Reply
from graphs.holding import why
from graphs.models import Component, Graph
from tests.integration.graphs.mappings import mapping
from tests.integration.graphs.test_cost import NOW, WIDTH, Cost, layers, rows_read

pytestmark = pytest.mark.django_db


def submitted(count: int) -> Graph:
    """A graph in layers, of which all but the last three layers are completed; the first of these runs."""
    graph = store.submit(mapping(layers(count), f"g{count}"), NOW, source="http")
    done = [f"vpc::{number}" for number in range(count - 3 * WIDTH)]
    Component.objects.filter(graph=graph, component_id__in=done).update(state="completed")
    first = [f"vpc::{number}" for number in range(count - 3 * WIDTH, count - 2 * WIDTH)]
    Component.objects.filter(graph=graph, component_id__in=first).update(state="running", blockers=0)
    return graph


def cost_of_why(graph: Graph, component_id: str) -> tuple[int, int]:
    cost = Cost()
    with connection.execute_wrapper(cost):
        assert why(graph, component_id).roots
    return cost.statements, cost.rows


def test_the_cost_does_not_grow_with_the_graph() -> None:
    small, large = submitted(100), submitted(5000)
    assert cost_of_why(small, "vpc::99") == cost_of_why(large, "vpc::4999")
    statements, rows = cost_of_why(large, "vpc::4999")
    assert (statements <= 5, rows < 10 * WIDTH) == (True, True)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL tells what it has read")
def test_no_table_is_read_whole() -> None:
    large = submitted(5000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE graphs_component, graphs_edge")
    before = rows_read()
    why(large, "vpc::4999")
    assert rows_read() - before < 50 * WIDTH


def test_what_is_in_the_way_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "IN_THE_WAY_MAX", 2 * WIDTH)
    graph = store.submit(mapping(layers(1000), "deep"), NOW, source="http")
    store.claim_any(["nats"], NOW)
    cost = Cost()
    with connection.execute_wrapper(cost):
        told = why(graph, "vpc::999")
    assert "more than 20 components are in the way" in told.summary
    assert [cause.component_id for cause in told.roots] == [f"vpc::{number}" for number in range(WIDTH)]
    assert (cost.statements <= 6, cost.rows < 150) == (True, True)


@pytest.mark.parametrize("depth", [1, 30])
def test_the_root_is_found_through_what_waits_and_not_through_what_is_done(depth: int) -> None:
    chain = {"vpc::done": [], "vpc::0": ["vpc::done"]} | {f"vpc::{n}": [f"vpc::{n - 1}"] for n in range(1, depth + 1)}
    graph = store.submit(mapping(chain), NOW, source="http")
    store.claim_any(["nats"], NOW)
    store.apply_replies([Reply("b1", Report("vpc::done", "completed"), {})], ["nats"], NOW)
    graph.refresh_from_db()
    told = why(graph, f"vpc::{depth}")
    assert [cause.component_id for cause in told.nearest] == [f"vpc::{depth - 1}"]
    assert [(cause.component_id, cause.state) for cause in told.roots] == [("vpc::0", "running")]


@pytest.mark.parametrize(
    ("rule", "summary"),
    [("all_completed", "it waits for vpc::a (errored)"), ("all_done", "it waits for vpc::b (running)")],
)
def test_only_what_its_rule_is_missing_is_in_its_way(rule: str, summary: str) -> None:
    document: dict[str, Any] = mapping({"vpc::a": [], "vpc::b": [], "net::a": ["vpc::a", "vpc::b"]})
    document["changes"][2]["_rule"] = rule
    graph = store.submit(document, NOW, source="http")
    store.claim_any(["nats"], NOW)
    store.apply_replies([Reply("b1", Report("vpc::a", "errored"), {})], ["nats"], NOW)
    graph.refresh_from_db()
    assert why(graph, "net::a").summary.startswith(summary)
