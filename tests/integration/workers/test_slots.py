"""Commands and the slots of workers: how many are given out, what the others say, who is next."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from scheduler_project.models import Event
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command
from workers.store.placing import due, tell_waiting
from workers.store.rows import read_in_order
from workers.testing import FakeAgents, Ran

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def submit(count: int, **fields: Any) -> list[Command]:
    return store.submit([NewCommand(argv=["true"], **fields)] * count, NOW)


def states() -> Counter[str]:
    return Counter(Command.objects.values_list("state", flat=True))


def test_commands_beyond_the_slots_wait_with_the_reason(agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(holds=True)
    agents.connect("host-a", now=NOW, slots=2)

    commands = submit(5)
    agents.settle(NOW)
    store.sweep(NOW)

    assert states() == {"running": 2, "pending": 3}
    assert Command.objects.get(id=commands[-1].id).reason == "no worker fits: host-a: all 2 slots taken"


def test_what_was_given_and_not_yet_answered_takes_a_slot(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW, slots=1)
    agents.lose("host-a")

    submit(1)
    store.place_pending(NOW)
    submit(1)
    store.place_pending(NOW)

    assert states() == {"scheduled": 1, "pending": 1}


def test_a_slot_that_becomes_free_is_filled_at_once_in_the_order_of_submits(agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(holds=True)
    agents.connect("host-a", now=NOW, slots=1)
    first, second, third = submit(3)
    agents.settle(NOW)
    agents.wakes = 0

    agents.finish(f"command/{first.id}", after(0.1))
    agents.settle(after(0.1))

    found = [Command.objects.get(id=command.id).state for command in (first, second, third)]
    assert found == ["done", "running", "pending"]
    assert agents.wakes == 1


def test_a_command_that_waits_for_a_full_worker_does_not_hold_up_one_that_fits_elsewhere(agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(holds=True)
    agents.connect("host-a", "host-b", now=NOW, slots=1)
    submit(1, on="host-a")
    agents.settle(NOW)

    blocked = submit(3, on="host-a")
    (free,) = submit(1)
    agents.settle(NOW)

    assert Command.objects.get(id=free.id).worker.name == "host-b"  # type: ignore[union-attr]
    assert {Command.objects.get(id=command.id).state for command in blocked} == {"pending"}


def test_one_that_waits_for_a_slot_too_long_is_dead_with_the_reason(agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(holds=True)
    agents.connect("host-a", now=NOW, slots=1)
    _, waiting = submit(2, start_within_s=60)
    agents.settle(NOW)
    store.sweep(NOW)

    store.sweep(after(61))

    waiting.refresh_from_db()
    assert waiting.state == "dead"
    assert waiting.reason.endswith("no worker took it within 61 s: no worker fits: host-a: all 1 slots taken")


def test_a_backlog_that_waits_for_slots_is_not_read_again_at_every_tick(
    agents: FakeAgents,
) -> None:
    agents.run = lambda order: Ran(holds=True)
    agents.connect("host-a", now=NOW, slots=1)
    submit(50)
    agents.settle(NOW)

    with CaptureQueriesContext(connection) as told:
        assert not store.place_pending(NOW)

    assert len(told) <= 5
    assert not any('"argv"' in query["sql"] for query in told)


def test_single_requests_and_lists_are_spread_evenly_by_a_true_round_robin(agents: FakeAgents) -> None:
    agents.connect("host-a", "host-b", "host-c", now=NOW)

    for size in (1, 1, 4, 1, 2, 1, 5, 1, 1, 1):
        submit(size)
        agents.settle(NOW)

    spread = Counter(Command.objects.values_list("worker__name", flat=True))
    assert set(spread.values()) == {6}


def test_the_event_of_a_placement_says_why_this_worker(agents: FakeAgents, settings: Any) -> None:
    settings.SCHEDULER_PLACEMENT = "pack"
    agents.connect("host-a", "host-b", now=NOW)

    submit(1)
    agents.settle(NOW)

    assert Event.objects.get(name="command.scheduled").message == "host-a: it was the fullest with room"


@pytest.mark.parametrize("alias", ["round_robin", "least_loaded", "pack", "random"])
def test_placing_costs_a_constant_number_of_queries(
    agents: FakeAgents, settings: Any, django_assert_max_num_queries: Any, alias: str
) -> None:
    settings.SCHEDULER_PLACEMENT = alias
    agents.connect(*(f"host-{n}" for n in range(10)), now=NOW, slots=4)
    submit(60)

    with django_assert_max_num_queries(14):
        store.place_pending(NOW)

    assert states() == {"scheduled": 40, "pending": 20}


def test_telling_why_they_wait_costs_a_constant_number_of_queries(
    agents: FakeAgents, django_assert_max_num_queries: Any
) -> None:
    agents.connect("host-a", now=NOW, slots=1)
    submit(60)
    store.place_pending(NOW)

    with django_assert_max_num_queries(11):
        tell_waiting(NOW)

    assert set(Command.objects.filter(state="pending").values_list("reason", flat=True)) == {
        "no worker fits: host-a: all 1 slots taken"
    }


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no statistics that could be old")
def test_the_first_of_a_backlog_that_has_just_come_are_found_without_sorting_it() -> None:
    submit(2000)

    with transaction.atomic():
        read_in_order()
        plan = due(NOW).order_by("-priority", "remind_at", "id")[:64].explain()

    assert "commands_to_place" in plan
    assert "Sort" not in plan


def test_a_backlog_that_no_worker_takes_is_told_so_a_batch_at_a_tick(agents: FakeAgents) -> None:
    submit(1100)

    assert not store.place_pending(NOW)

    assert Command.objects.filter(reason="no worker has ever connected").count() == 500
