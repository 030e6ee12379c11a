"""What one reply costs: as much as what hangs from it, whatever the size of the graph around it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from graphs import store
from graphs.core.advance import Report
from graphs.core.replies import Reply
from tests.integration.graphs.mappings import mapping

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WIDTH = 10
SAVEPOINTS = 2  # of the test
pytestmark = pytest.mark.django_db


class Cost:
    """Counts statements and, where the database tells, the rows that they return or write."""

    def __init__(self) -> None:
        self.statements = 0
        self.rows = 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        self.statements += 1
        self.rows += max(context["cursor"].rowcount, 0)
        return result


def layers(count: int) -> dict[str, list[str]]:
    """Components in layers of ten; each waits for three of the layer before."""
    found: dict[str, list[str]] = {f"vpc::{number}": [] for number in range(WIDTH)}
    for number in range(WIDTH, count):
        first = (number // WIDTH - 1) * WIDTH
        found[f"vpc::{number}"] = [f"vpc::{first + (number + step) % WIDTH}" for step in (0, 1, 3)]
    return found


def chain(graph_id: str, length: int) -> dict[str, Any]:
    after = {f"vpc::{number}": [f"vpc::{number - 1}"] for number in range(1, length)}
    return mapping({"vpc::0": [], **after}, graph_id)


def reply(graph_id: str, number: int) -> Reply:
    return Reply(graph_id, Report(f"vpc::{number}", "completed", attempt=1), {"name": "x"})


def cost_of_replies(count: int) -> tuple[int, int]:
    """What settling three replies costs that together set one component free."""
    store.submit(mapping(layers(count), f"g{count}"), NOW, source="http")
    sends = store.claim_any(["nats"], NOW).sends
    assert len(sends) == WIDTH
    store.apply_replies([reply(f"g{count}", 9)], ["nats"], NOW)
    cost = Cost()
    with connection.execute_wrapper(cost):
        claimed = store.apply_replies([reply(f"g{count}", number) for number in (0, 1, 3)], ["nats"], NOW)
    assert len(claimed.sends) == 1
    return cost.statements, cost.rows


def test_the_cost_of_a_reply_does_not_grow_with_the_graph() -> None:
    assert cost_of_replies(100) == cost_of_replies(10_000)


def rows_read() -> int:
    """How many rows of graphs' tables PostgreSQL has read in this transaction, by whatever plan."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) "
            "FROM pg_stat_xact_user_tables WHERE relname LIKE 'graphs\\_%'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL tells what it has read")
def test_plans_made_while_tables_were_small_do_not_read_large_ones_whole() -> None:
    store.submit(chain("warm", 40), NOW, source="http")
    store.claim_any(["nats"], NOW)
    for number in range(39):
        store.apply_replies([reply("warm", number)], ["nats"], NOW)
    store.submit(mapping(layers(3000), "large"), NOW, source="http")
    store.claim_any(["nats"], NOW)

    before = rows_read()
    store.apply_replies([reply("large", number) for number in range(WIDTH)], ["nats"], NOW)

    assert rows_read() - before < 30 * WIDTH


def test_a_reply_takes_few_statements() -> None:
    statements, _ = cost_of_replies(100)
    assert statements - SAVEPOINTS <= 12
