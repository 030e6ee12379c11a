"""The sweep costs the same whatever is stored."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from graphs import store
from tests.integration.graphs.mappings import mapping

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IDLE_QUERIES = 8


@pytest.mark.django_db
@pytest.mark.parametrize("graphs", [0, 1, 7])
def test_a_sweep_with_nothing_to_do_has_constant_queries(
    graphs: int, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for number in range(graphs):
        store.submit(mapping({"vpc::a": []}, f"b{number}"), NOW, source="http")
    while claimed := store.claim_any(["nats"], NOW).sends:
        store.mark_sent(claimed, NOW)
    with django_assert_num_queries(IDLE_QUERIES):
        store.sweep(NOW)
