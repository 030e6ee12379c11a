"""Arrays, the bound on how many of them run at once, the cap of a submitter, and priority."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from scheduler_project.toolkit.errors import Conflict, InvalidDocument
from workers import store
from workers.core.arrays import Wanted
from workers.core.commands import NewCommand
from workers.models import Command
from workers.protocol import RunCommand
from workers.testing import FakeAgents, Ran, committing

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def submit_array(array: str, at_once: int = 0, submitter: Any = None, **fields: Any) -> list[Command]:
    return store.submit_array(NewCommand(argv=["work"], **fields), array, at_once, NOW, submitter)


def submit(number: int, submitter: Any = None, **fields: Any) -> list[Command]:
    return store.submit([NewCommand(argv=["work"], **fields)] * number, NOW, submitter)


def running() -> list[Command]:
    return list(Command.objects.filter(state="running").order_by("id"))


def counts() -> dict[str, int]:
    states = list(Command.objects.values_list("state", flat=True))
    return {state: states.count(state) for state in set(states)}


@pytest.fixture
def holding(agents: FakeAgents) -> FakeAgents:
    """An agent with many slots on which commands run until they are finished."""
    agents.connect("host-a", now=NOW, slots=1000)
    agents.run = lambda order: Ran(holds=True)
    return agents


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


def finish(agents: FakeAgents, command: Command, now: datetime, **ended: Any) -> None:
    agents.finish(f"command/{command.id}", now, Ran(**ended))
    agents.settle(now)


def test_an_array_is_one_command_for_each_index_which_it_finds_in_its_environment(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    orders: list[RunCommand] = []
    agents.run = lambda order: orders.append(order) or Ran()  # type: ignore[func-returns-value]

    commands = submit_array("0-6:3,1", env={"A": "1"})
    agents.settle(NOW)

    assert [command.array_index for command in commands] == [0, 1, 3, 6]
    assert len({command.array_id for command in commands}) == 1
    assert [order.env for order in orders] == [
        {"A": "1", "SCHEDULER_ARRAY_INDEX": str(index)} for index in (0, 1, 3, 6)
    ]


def test_at_most_so_many_of_an_array_run_at_once_and_the_rest_says_why_it_waits(holding: FakeAgents) -> None:
    submit_array("0-9", at_once=3)

    holding.settle(NOW)

    assert counts() == {"running": 3, "pending": 7}
    assert [command.array_index for command in running()] == [0, 1, 2]
    reasons = set(Command.objects.filter(state="pending").values_list("reason", flat=True))
    assert reasons == {"3 of its array run, which is as many as may"}


def test_when_one_of_an_array_ends_the_next_one_starts(holding: FakeAgents) -> None:
    submit_array("0-9", at_once=3)
    holding.settle(NOW)

    for number in range(10):
        assert len(running()) == min(3, 10 - number)
        finish(holding, running()[0], after(number))

    assert counts() == {"done": 10}


def test_the_time_to_start_begins_when_its_turn_has_come(holding: FakeAgents) -> None:
    commands = submit_array("0-1", at_once=1, start_within_s=30)
    holding.settle(NOW)
    waiting = Command.objects.get(id=commands[1].id)
    holding.beat(after(999))
    with committing():
        store.sweep(after(1000))

    finish(holding, commands[0], after(1000))

    assert waiting.start_by is None
    second = Command.objects.get(id=commands[1].id)
    assert (second.state, second.start_by) == ("running", after(1030))


def test_a_retry_gives_its_place_to_the_next_of_its_array(holding: FakeAgents) -> None:
    commands = submit_array("0-1", at_once=1, retries=1, retry_delay_s=10)
    holding.settle(NOW)

    finish(holding, commands[0], after(1), exit_code=1)

    assert [command.array_index for command in running()] == [1]
    holding.settle(after(20))
    assert counts() == {"running": 1, "pending": 1}
    finish(holding, running()[0], after(21))
    assert [(command.array_index, command.attempt) for command in running()] == [(0, 2)]


def test_cancelling_those_that_wait_leaves_the_others(holding: FakeAgents) -> None:
    commands = submit_array("0-4", at_once=2)
    holding.settle(NOW)

    with committing():
        store.cancel([command.id for command in commands[2:]], NOW, "ann", "no")
    for command in commands[:2]:
        finish(holding, command, after(1))

    assert counts() == {"done": 2, "cancelled": 3}
    assert not Command.objects.filter(held_by__isnull=False).exists()


def test_two_arrays_do_not_wait_for_each_other(holding: FakeAgents) -> None:
    submit_array("0-4", at_once=2)
    submit_array("0-4", at_once=1)

    holding.settle(NOW)

    assert len(running()) == 3


def test_a_submitter_has_at_most_so_many_commands_running(holding: FakeAgents, ann: User, settings: Any) -> None:
    settings.SCHEDULER_MAX_RUNNING_PER_SUBMITTER = 2
    bob = User.objects.create_user("bob")
    submit(5, ann)
    submit(1, bob)
    submit(4)

    holding.settle(NOW)

    assert Command.objects.filter(state="running", submitted_by=ann).count() == 2
    assert Command.objects.filter(state="running", submitted_by=bob).count() == 1
    assert Command.objects.filter(state="running", submitted_by=None).count() == 4
    reasons = set(Command.objects.filter(state="pending").values_list("reason", flat=True))
    assert reasons == {"its submitter has 2 commands running, which is as many as may"}


def test_what_waits_for_its_submitter_goes_in_the_order_of_priority(
    holding: FakeAgents, ann: User, settings: Any
) -> None:
    settings.SCHEDULER_MAX_RUNNING_PER_SUBMITTER = 1
    (first,) = submit(1, ann)
    holding.settle(NOW)
    (low,) = submit(1, ann, priority=-1)
    (high,) = submit(1, ann, priority=5)
    holding.settle(NOW)

    finish(holding, first, after(1))

    assert [command.id for command in running()] == [high.id]
    finish(holding, high, after(2))
    assert [command.id for command in running()] == [low.id]


def test_both_bounds_hold_together(holding: FakeAgents, ann: User, settings: Any) -> None:
    settings.SCHEDULER_MAX_RUNNING_PER_SUBMITTER = 3
    submit_array("0-9", at_once=2, submitter=ann)
    submit(9, ann)

    holding.settle(NOW)

    assert len(running()) == 3
    assert sum(command.array_id is not None for command in running()) <= 2
    moment = 1
    while running():
        finish(holding, running()[0], after(moment))
        assert len(running()) <= 3
        moment += 1
    assert counts() == {"done": 19}


def test_a_cap_that_is_lifted_lets_everything_go_at_the_next_end(holding: FakeAgents, ann: User, settings: Any) -> None:
    settings.SCHEDULER_MAX_RUNNING_PER_SUBMITTER = 1
    first, *_ = submit(4, ann)
    holding.settle(NOW)
    settings.SCHEDULER_MAX_RUNNING_PER_SUBMITTER = 10

    finish(holding, first, after(1))

    assert counts() == {"done": 1, "running": 3}


def test_what_waited_for_a_submitter_goes_on_when_that_user_is_deleted(
    holding: FakeAgents, ann: User, settings: Any
) -> None:
    settings.SCHEDULER_MAX_RUNNING_PER_SUBMITTER = 1
    submit(3, ann)
    holding.settle(NOW)

    ann.delete()
    holding.settle(timezone.now())

    assert counts() == {"running": 3}


def test_the_highest_priority_is_placed_first(agents: FakeAgents) -> None:
    started: list[str] = []
    agents.run = lambda order: started.append(order.argv[0]) or Ran()  # type: ignore[func-returns-value]
    for name, priority in [("low", -5), ("usual", 0), ("high", 9), ("next", 0)]:
        store.submit([NewCommand(argv=[name], priority=priority)], NOW)
    agents.connect("host-a", now=NOW)

    agents.settle(NOW)

    assert started == ["high", "usual", "next", "low"]


def test_an_array_is_idempotent_under_its_key(agents: FakeAgents) -> None:
    first = submit_array("0-4", idempotency_key="k")
    second = submit_array("0-4", idempotency_key="k")
    with pytest.raises(Conflict, match="other indices"):
        submit_array("0-9", idempotency_key="k")

    assert [command.id for command in first] == [command.id for command in second]
    assert Command.objects.count() == 5


def test_a_fault_of_an_array_refuses_all_and_has_its_path(agents: FakeAgents) -> None:
    wanted = [Wanted(NewCommand(argv=["a"])), Wanted(NewCommand(argv=["b"]), array="5-1", at_once=-1)]

    with pytest.raises(InvalidDocument) as caught:
        store.submit_wanted(wanted, NOW)

    assert [fault.path for fault in caught.value.faults] == ["commands[1].at_once", "commands[1].array"]
    assert not Command.objects.exists()


def test_bounds_cost_a_constant_number_of_queries(holding: FakeAgents, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        submit_array("0-9", at_once=2)

    with django_assert_max_num_queries(20):
        store.place_pending(NOW)

    assert counts() == {"scheduled": 40, "pending": 160}
    holding.settle(NOW)
    for command in running():
        holding.finish(f"command/{command.id}", after(1), Ran())
    agent = holding.agents["host-a"]
    with django_assert_max_num_queries(25):
        holding._deliver(agent, after(1))
