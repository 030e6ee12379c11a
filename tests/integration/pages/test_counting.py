"""The numbers of `/metrics` cost the same however much there is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler_project.counting import COST_FACTOR, FRESH_S, count_due
from scheduler_project.metrics import metrics_text
from scheduler_project.models import Counted
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def submit(count: int) -> None:
    store.submit([NewCommand(argv=["true"])] * count, NOW)


def shown(line: str) -> bool:
    return line in metrics_text().decode().splitlines()


@pytest.mark.parametrize("count", [0, 1000])
def test_a_scrape_asks_for_counts_and_counts_nothing(
    count: int, django_assert_num_queries: Callable[[int], Any]
) -> None:
    submit(count)
    count_due(NOW)

    with django_assert_num_queries(3) as asked:
        metrics_text()

    assert not any('"workers_command"' in query["sql"] for query in asked.captured_queries)


def test_every_state_is_told_and_when_it_was_counted() -> None:
    submit(3)
    Command.objects.filter(id=Command.objects.values("id")[:1]).update(state="done")

    count_due(NOW)

    assert shown('scheduler_commands{state="pending"} 2.0')
    assert shown('scheduler_commands{state="done"} 1.0')
    assert 'scheduler_counted_timestamp_seconds{metric="scheduler_commands"} 1.79' in metrics_text().decode()


def test_a_fresh_count_is_not_made_again() -> None:
    count_due(NOW)
    submit(1)

    count_due(NOW + timedelta(seconds=FRESH_S - 1))
    assert not shown('scheduler_commands{state="pending"} 1.0')
    count_due(NOW + timedelta(seconds=FRESH_S))

    assert shown('scheduler_commands{state="pending"} 1.0')


def test_what_costs_much_is_counted_seldom() -> None:
    ticks = iter([0.0, 2.0] * 100)
    count_due(NOW, lambda: next(ticks))
    submit(1)

    count_due(NOW + timedelta(seconds=2 * COST_FACTOR - 1))
    assert not shown('scheduler_commands{state="pending"} 1.0')
    count_due(NOW + timedelta(seconds=2 * COST_FACTOR))

    assert shown('scheduler_commands{state="pending"} 1.0')


def test_before_the_first_count_the_other_numbers_are_told() -> None:
    assert not Counted.objects.exists()
    assert shown("scheduler_events_total 0.0")
