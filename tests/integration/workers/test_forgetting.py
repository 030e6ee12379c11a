"""What is over is kept for as long as the settings say, and what is needed for longer."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from scheduler_project import forgetting as roof
from scheduler_project.models import Event
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, CommandAttempt, CommandOutput, Worker
from workers.store import forgetting
from workers.testing import FakeAgents, Ran

pytestmark = pytest.mark.django_db
KEEP = timedelta(days=30)
SECOND = timedelta(seconds=1)


@pytest.fixture
def now(settings: Any) -> datetime:
    """The present, as ids are made by the machine's clock."""
    settings.SCHEDULER_KEEP_COMMANDS_DAYS = settings.SCHEDULER_KEEP_WORKERS_DAYS = KEEP.days
    settings.SCHEDULER_KEEP_EVENTS_DAYS = KEEP.days
    return timezone.now()


def ran(agents: FakeAgents, now: datetime, count: int = 1, **fields: Any) -> list[Command]:
    """Commands that have come to rest at `now`, on a host that is connected for it."""
    if "host-a" not in agents.agents:
        agents.connect("host-a", now=now)
    commands = store.submit([NewCommand(argv=["true"], **fields)] * count, now)
    agents.settle(now)
    return commands


def test_an_ended_command_goes_with_its_output_and_attempts_once_it_is_old(agents: FakeAgents, now: datetime) -> None:
    agents.run = lambda order: Ran(stdout=b"out", exit_code=1)
    (command,) = ran(agents, now, retries=1, retry_delay_s=0)
    store.sweep(now + 2 * SECOND)
    agents.settle(now + 2 * SECOND)
    assert (CommandOutput.objects.count(), CommandAttempt.objects.count()) == (2, 1)

    store.forget(now + KEEP - SECOND)
    assert Command.objects.filter(id=command.id).exists()
    store.forget(now + KEEP + 4 * SECOND)

    assert not Command.objects.exists()
    assert not CommandOutput.objects.exists()
    assert not CommandAttempt.objects.exists()


def test_what_is_not_over_stays_however_old_it_is(agents: FakeAgents, now: datetime) -> None:
    waiting = store.submit([NewCommand(argv=["true"], on="host-b")], now)
    agents.run = lambda order: Ran(holds=True)
    running = ran(agents, now)

    store.forget(now + 10 * KEEP)

    assert {command.id for command in Command.objects.all()} == {one.id for one in (*waiting, *running)}


def test_the_ended_part_of_an_array_stays_until_all_of_it_has_ended(agents: FakeAgents, now: datetime) -> None:
    commands = ran(agents, now, count=3)
    Command.objects.update(array_id=commands[0].id)
    Command.objects.filter(id=commands[2].id).update(state="running")

    store.forget(now + KEEP + SECOND)
    assert Command.objects.count() == 3
    Command.objects.filter(id=commands[2].id).update(state="done")
    store.forget(now + KEEP + SECOND)

    assert not Command.objects.exists()


def test_a_command_that_a_lost_worker_may_still_run_stays(agents: FakeAgents, now: datetime) -> None:
    (command,) = ran(agents, now)
    Command.objects.filter(id=command.id).update(remind_at=now)

    store.forget(now + KEEP + SECOND)

    assert Command.objects.exists()


def test_those_that_stay_do_not_hold_up_those_behind_them(agents: FakeAgents, now: datetime, monkeypatch: Any) -> None:
    monkeypatch.setattr(forgetting, "COMMANDS_PER_STEP", 2)
    commands = ran(agents, now, count=7)
    first = [command.id for command in commands[:3]]
    Command.objects.filter(id__in=first).update(remind_at=now)

    for _ in range(4):
        store.forget(now + KEEP + SECOND)

    assert set(Command.objects.values_list("id", flat=True)) == set(first)


def test_nothing_is_forgotten_where_everything_is_to_be_kept(agents: FakeAgents, now: datetime, settings: Any) -> None:
    settings.SCHEDULER_KEEP_COMMANDS_DAYS = settings.SCHEDULER_KEEP_WORKERS_DAYS = 0
    settings.SCHEDULER_KEEP_EVENTS_DAYS = settings.SCHEDULER_KEEP_GRAPHS_DAYS = 0
    ran(agents, now)
    agents.stop("host-a", now)
    told = Event.objects.count()

    roof.forget_all(now + 100 * KEEP)

    assert (Command.objects.count(), Worker.objects.count(), Event.objects.count()) == (1, 1, told)


@pytest.mark.parametrize("count", [1, 50])
def test_a_step_costs_the_same_queries_whatever_there_is(
    agents: FakeAgents, now: datetime, count: int, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    ran(agents, now, count=count)

    with django_assert_max_num_queries(20):
        store.forget(now + KEEP + SECOND)

    assert not Command.objects.exists()


def test_a_worker_goes_once_it_was_away_for_long_and_nothing_refers_to_it(agents: FakeAgents, now: datetime) -> None:
    ran(agents, now)
    agents.stop("host-a", now)

    forgetting.forget_workers(now + KEEP + SECOND)
    assert Worker.objects.exists()
    store.forget(now + KEEP + SECOND)

    assert not Worker.objects.exists()
    told = Event.objects.get(name="worker.removed")
    assert (told.subject, told.message) == ("worker:host-a", "disconnected for more than 30 days")


def test_workers_that_are_connected_drained_or_away_for_a_short_time_stay(agents: FakeAgents, now: datetime) -> None:
    agents.connect("host-a", "host-b", "host-c", now=now)
    store.set_draining("host-b", True, now, "ann")
    agents.stop("host-b", now)
    agents.stop("host-c", now + KEEP)

    store.forget(now + KEEP + SECOND)

    assert set(Worker.objects.values_list("name", flat=True)) == {"host-a", "host-b", "host-c"}


def test_old_events_go_in_parts_and_the_newest_stays(agents: FakeAgents, now: datetime, monkeypatch: Any) -> None:
    ran(agents, now, count=3)
    first, last = Event.objects.order_by("id")[0].id, Event.objects.order_by("-id")[0].id
    monkeypatch.setattr(roof, "EVENTS_PER_STEP", 2)

    roof.forget_events(now + KEEP + SECOND)
    assert Event.objects.count() == last - first - 1
    for _ in range(last - first):
        roof.forget_events(now + KEEP + SECOND)

    assert Event.objects.get().id == last


def test_a_step_that_fails_keeps_no_other_back(agents: FakeAgents, now: datetime, monkeypatch: Any) -> None:
    ran(agents, now)

    def fail(now: datetime) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("graphs.store.forget", fail)

    roof.forget_all(now + KEEP + SECOND)

    assert not Command.objects.exists()
    assert Event.objects.count() == 1
