"""Commands that are tried again: when, where, what is kept of each attempt, and that none runs unseen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler_project.models import Event
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, CommandAttempt, CommandOutput, Worker
from workers.protocol import Ended, Numbered, Output, Report, Reports, RunCommand, StopUnit, Usage
from workers.signals import commands_ended
from workers.testing import FakeAgents, Ran, committing

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def submit(**fields: Any) -> Command:
    (command,) = store.submit([NewCommand(argv=["work"], **{"retries": 2, "retry_delay_s": 10, **fields})], NOW)
    return command


def now_of(command: Command) -> Command:
    return Command.objects.select_related("worker").get(id=command.id)


def report(host: str, *reports: Report, now: datetime = NOW) -> None:
    worker = Worker.objects.get(name=host)
    numbered = [Numbered(1000 + index, one) for index, one in enumerate(reports)]
    with committing():
        store.apply_reports(Reports(host=host, session=worker.session, sent_at=0, reports=numbered), now)


def tick(agents: FakeAgents, now: datetime) -> None:
    with committing():
        store.sweep(now)
    agents.settle(now)


def fails_once(order: RunCommand) -> Ran:
    return Ran(exit_code=0, stdout=b"well") if order.attempt > 1 else Ran(exit_code=7, stdout=b"badly")


def test_a_command_that_failed_runs_again_after_a_pause_and_may_end_well(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = fails_once
    command = submit()
    agents.settle(NOW)
    waiting = now_of(command)

    agents.settle(after(4.9))
    too_soon = now_of(command).state
    agents.settle(after(10))

    assert (waiting.state, waiting.attempt, waiting.exit_code) == ("pending", 1, None)
    assert waiting.reason.startswith("attempt 1 ended with exit code 7; retry 1 of 2 in ")
    assert waiting.not_before is not None
    assert after(5) <= waiting.not_before <= after(10)
    assert too_soon == "pending"
    ended = now_of(command)
    assert (ended.state, ended.exit_code, ended.attempt) == ("done", 0, 2)


def test_each_attempt_is_kept_with_its_end_and_its_output(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = fails_once
    command = submit()
    agents.settle(NOW)
    agents.settle(after(10))

    (first,) = CommandAttempt.objects.filter(command=command)

    assert (first.attempt, first.state, first.exit_code, first.worker and first.worker.name) == (1, "done", 7, "host-a")
    assert (first.started_at, first.stdout_bytes, first.stop_at) == (NOW, 5, None)
    kept = CommandOutput.objects.filter(command=command).order_by("attempt").values_list("attempt", "data")
    assert [(attempt, bytes(data)) for attempt, data in kept] == [(1, b"badly"), (2, b"well")]
    assert store.output_of(command.id, "stdout") == b"well"


def test_pauses_double_and_the_last_retry_is_the_last(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(exit_code=1)
    command = submit()
    agents.settle(NOW)
    first = now_of(command).not_before
    agents.settle(after(10))
    second = now_of(command).not_before
    agents.settle(after(30))

    ended = now_of(command)

    assert first is not None
    assert second is not None
    assert after(5) <= first <= after(10)
    assert after(20) <= second <= after(30)
    assert (ended.state, ended.exit_code, ended.attempt, ended.retried) == ("done", 1, 3, 2)
    assert [row.attempt for row in CommandAttempt.objects.filter(command=command)] == [1, 2]


@pytest.mark.parametrize("ran", [Ran(exit_code=0), Ran(exit_code=1)])
def test_without_retries_or_after_success_nothing_is_tried_again(agents: FakeAgents, ran: Ran) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: ran
    command = submit(retries=1 if ran.exit_code == 0 else 0)
    agents.settle(NOW)

    assert (now_of(command).state, now_of(command).attempt) == ("done", 1)


def test_a_program_that_could_not_be_started_is_tried_again(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(start_error="" if order.attempt > 1 else "text file busy")
    command = submit()
    agents.settle(NOW)
    agents.settle(after(10))

    assert (now_of(command).state, now_of(command).attempt, now_of(command).start_error) == ("done", 2, "")


def test_a_cancelled_command_is_not_tried_again(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    command = submit()
    agents.settle(NOW)
    with committing():
        store.cancel([command.id], NOW, "ann", "no longer wanted")
    agents.settle(NOW)

    assert (now_of(command).state, now_of(command).reason) == ("cancelled", "no longer wanted")


def test_a_command_that_waits_for_its_retry_can_be_cancelled(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(exit_code=1)
    command = submit()
    agents.settle(NOW)
    with committing():
        store.cancel([command.id], after(1), "ann", "no longer wanted")
    agents.beat(after(9))
    tick(agents, after(12))
    tick(agents, after(60))

    assert (now_of(command).state, now_of(command).attempt, now_of(command).remind_at) == ("cancelled", 1, None)


def test_the_end_of_an_attempt_that_comes_twice_uses_up_one_retry(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(exit_code=1)
    command = submit()
    agents.settle(NOW)

    for _ in range(3):
        report("host-a", Ended(unit=f"command/{command.id}", attempt=1, at=0, exit_code=1))

    assert (now_of(command).retried, now_of(command).late_reports) == (1, 3)
    assert CommandAttempt.objects.filter(command=command).count() == 1


def test_the_apps_above_are_told_of_the_last_end_only(agents: FakeAgents) -> None:
    told: list[int] = []

    def listener(commands: list[Command], **_: Any) -> None:
        told.extend(command.attempt for command in commands)

    commands_ended.connect(listener)
    try:
        agents.connect("host-a", now=NOW)
        agents.run = fails_once
        submit()
        agents.settle(NOW)
        agents.settle(after(10))
    finally:
        commands_ended.disconnect(listener)

    assert told == [2]


def test_a_retry_is_told_as_an_event(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = fails_once
    command = submit()
    agents.settle(NOW)

    event = Event.objects.get(subject=f"command:{command.id}", name="command.retrying")
    assert event.data["state"] == "pending"
    assert "exit code 7" in event.message


def test_a_retry_goes_to_another_worker_where_one_fits(agents: FakeAgents) -> None:
    agents.connect("host-a", "host-b", now=NOW)
    agents.run = fails_once
    command = submit()
    agents.settle(NOW)
    first = now_of(command).worker
    agents.settle(after(10))
    second = now_of(command).worker

    assert first is not None
    assert second is not None
    assert {first.name, second.name} == {"host-a", "host-b"}


def test_a_command_lost_with_its_worker_runs_elsewhere_and_the_old_attempt_is_stopped(agents: FakeAgents) -> None:
    agents.connect("host-a", "host-b", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    command = submit(retry_delay_s=1)
    agents.settle(NOW)
    first = now_of(command).worker
    assert first is not None
    agents.lose(first.name)
    for second in (11, 200, 312, 314):
        agents.beat(after(second))
        tick(agents, after(second))
    elsewhere = now_of(command)
    still_held = (f"command/{command.id}", 1) in agents.agents[first.name].held

    agents.connect(first.name, now=after(400))
    tick(agents, after(400))
    tick(agents, after(411))

    assert (elsewhere.state, elsewhere.attempt) == ("running", 2)
    assert elsewhere.worker != first
    assert still_held
    assert (f"command/{command.id}", 1) not in agents.agents[first.name].held
    assert CommandAttempt.objects.get(command=command).stop_at is None
    stops = [order for _, order in agents.published if isinstance(order, StopUnit)]
    assert {(stop.unit, stop.attempt) for stop in stops} == {(f"command/{command.id}", 1)}
    assert (now_of(command).state, now_of(command).attempt) == ("running", 2)


def test_output_of_an_earlier_attempt_is_not_mixed_into_the_last(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = fails_once
    command = submit()
    agents.settle(NOW)
    agents.settle(after(10))
    unit = f"command/{command.id}"

    report("host-a", Output(unit=unit, attempt=1, stream="stdout", offset=5, data=b" late"), now=after(11))

    assert store.output_of(command.id, "stdout") == b"well"


def test_what_a_command_used_is_kept(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    command = submit()
    agents.settle(NOW)
    used = Usage(cpu_user_s=1.5, cpu_system_s=0.25, max_rss_kb=2048, wall_s=3.0)

    report("host-a", Ended(unit=f"command/{command.id}", attempt=1, at=0, exit_code=0, usage=used))

    ended = now_of(command)
    assert (ended.cpu_user_s, ended.cpu_system_s, ended.max_rss_kb, ended.wall_s) == (1.5, 0.25, 2048, 3.0)


def test_a_tick_over_many_retries_costs_a_constant_number_of_queries(
    agents: FakeAgents, django_assert_max_num_queries: Any
) -> None:
    agents.connect("host-a", now=NOW, slots=100)
    agents.run = lambda order: Ran(holds=True)
    store.submit([NewCommand(argv=["work"], retries=1)] * 40, NOW)
    agents.settle(NOW)
    agents.lose("host-a")
    store.sweep(after(11))

    with django_assert_max_num_queries(30):
        store.sweep(after(400))

    assert Command.objects.filter(state="pending", retried=1).count() == 40
    with django_assert_max_num_queries(30):
        store.sweep(after(401))
