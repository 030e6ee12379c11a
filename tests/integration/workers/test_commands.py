"""The life of a command, from submit to its end, with agents in memory."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from scheduler_project.models import Event
from scheduler_project.toolkit.errors import Conflict, InvalidDocument
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, Worker
from workers.protocol import (
    Accepted,
    Ended,
    Numbered,
    Output,
    QueryUnits,
    Report,
    Reports,
    RunCommand,
    Started,
    StopUnit,
)
from workers.signals import commands_ended
from workers.testing import FakeAgents, Ran, committing

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def submit(number: int = 1, now: datetime = NOW, **fields: Any) -> list[Command]:
    return store.submit([NewCommand(argv=["true"], **fields)] * number, now)


def now_of(command: Command) -> Command:
    return Command.objects.select_related("worker").get(id=command.id)


def report(host: str, *reports: Report, now: datetime = NOW, first: int = 1) -> None:
    """Applies reports in one envelope of the host's present session."""
    session = Worker.objects.get(name=host).session
    numbered = [Numbered(first + index, one) for index, one in enumerate(reports)]
    store.apply_reports(Reports(host=host, session=session, sent_at=0, reports=numbered), now)


def placed(agents: FakeAgents, host: str = "host-a") -> Command:
    """A command that was sent to a host whose agent has not answered."""
    agents.connect(host, now=NOW)
    (command,) = submit()
    store.place_pending(NOW)
    return now_of(command)


def tick(agents: FakeAgents, now: datetime) -> None:
    """One tick of the sweeper and all that follows."""
    with committing():
        store.sweep(now)
    agents.settle(now)


def reports_on(command: Command, attempt: int = 1) -> tuple[Accepted, Started, Ended]:
    stated: dict[str, Any] = {"unit": f"command/{command.id}", "attempt": attempt, "at": NOW.timestamp()}
    return Accepted(**stated), Started(**stated, pid=1), Ended(**stated, exit_code=0)


def events_of(command: Command) -> list[str]:
    return list(Event.objects.filter(subject=f"command:{command.id}").order_by("id").values_list("name", flat=True))


def row_of(command: Command) -> dict[str, Any]:
    return dict(Command.objects.values().get(id=command.id))


def test_a_command_runs_and_its_output_and_exit_code_come_back(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(exit_code=3, stdout=b"hi\xff\n", stderr=b"oh")

    (command,) = submit()
    agents.settle(NOW)

    ended = now_of(command)
    assert (ended.state, ended.exit_code, ended.attempt, ended.started_at) == ("done", 3, 1, NOW)
    assert store.output_of(command.id, "stdout") == b"hi\xff\n"
    assert store.output_of(command.id, "stderr") == b"oh"
    assert events_of(command) == ["command.pending", "command.scheduled", "command.running", "command.done"]


def test_the_agent_is_given_all_that_was_asked_for(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    orders: list[RunCommand] = []
    agents.run = lambda order: orders.append(order) or Ran()  # type: ignore[func-returns-value]

    submit(env={"A": "1"}, cwd="/tmp", stdin=b"\xff", timeout_s=5, grace_s=2, start_within_s=60)
    agents.settle(NOW)

    (order,) = orders
    assert (order.argv, order.env, order.cwd, order.stdin) == (["true"], {"A": "1"}, "/tmp", b"\xff")
    assert (order.timeout_s, order.grace_s, order.start_by) == (5, 2, after(60).timestamp())


def test_a_program_that_cannot_be_started_leaves_the_command_dead_with_the_reason(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(start_error="no such file: nope")

    (command,) = submit()
    agents.settle(NOW)

    ended = now_of(command)
    assert (ended.state, ended.exit_code) == ("dead", None)
    assert ended.reason == "it could not be started: no such file: nope"


def test_six_single_commands_over_two_workers_go_three_and_three(agents: FakeAgents) -> None:
    agents.connect("host-a", "host-b", now=NOW)

    commands = []
    for _ in range(6):
        commands += submit()
        agents.settle(NOW)

    hosts = Counter(now_of(command).worker.name for command in commands)  # type: ignore[union-attr]
    assert hosts == {"host-a": 3, "host-b": 3}


def test_least_loaded_looks_at_what_is_unfinished(agents: FakeAgents, settings: Any) -> None:
    settings.SCHEDULER_PLACEMENT = "least_loaded"
    agents.connect("host-a", "host-b", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    submit(3, on="host-a")
    agents.settle(NOW)

    commands = submit(3)
    agents.settle(NOW)

    assert {now_of(command).worker.name for command in commands} == {"host-b"}  # type: ignore[union-attr]


def test_without_workers_the_command_waits_with_a_reason_and_then_dies_under_its_own_id(agents: FakeAgents) -> None:
    (command,) = submit(start_within_s=30)
    store.place_pending(NOW)
    waiting = now_of(command)

    store.place_pending(after(30))

    assert (waiting.state, waiting.reason) == ("pending", "no worker has ever connected")
    dead = now_of(command)
    assert (dead.state, dead.reason) == ("dead", "no worker took it within 30 s: no worker has ever connected")
    assert Command.objects.count() == 1


def test_a_waiting_command_is_placed_as_soon_as_a_worker_fits(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW, labels={"zone": "a"})
    (command,) = submit(on="zone=b")
    agents.settle(NOW)
    waiting = now_of(command)

    agents.connect("host-b", now=after(0.1), labels={"zone": "b"})
    agents.settle(after(0.1))

    assert waiting.reason == "no worker fits: host-a: its zone is a, zone=b is wanted"
    assert now_of(command).state == "done"


def test_the_reason_for_waiting_is_recorded_once_while_it_stays_the_same(agents: FakeAgents) -> None:
    (command,) = submit()

    for second in range(5):
        store.place_pending(after(second * 20))

    assert events_of(command).count("command.waiting") == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_reports_may_come_in_any_order(agents: FakeAgents, order: tuple[int, ...]) -> None:
    command = placed(agents)

    for index in order:
        report("host-a", reports_on(command)[index])

    ended = now_of(command)
    assert (ended.state, ended.exit_code, ended.late_reports) == ("done", 0, 0)


def test_an_end_that_comes_twice_changes_nothing_and_is_recorded_once(agents: FakeAgents) -> None:
    command = placed(agents)
    end = reports_on(command)[2]
    report("host-a", end)
    before = row_of(command)

    for _ in range(3):
        report("host-a", end, now=after(60))

    assert row_of(command) | {"late_reports": 0} == before
    assert now_of(command).late_reports == 3
    assert events_of(command).count("command.late_report") == 1


def test_an_end_that_comes_after_it_was_given_up_changes_nothing(agents: FakeAgents) -> None:
    command = placed(agents)
    report("host-a", *reports_on(command)[:2])
    agents.lose("host-a")
    store.sweep(after(11))
    store.sweep(after(400))
    agents.connect("host-a", now=after(401))

    report("host-a", reports_on(command)[2], now=after(401))

    ended = now_of(command)
    assert (ended.state, ended.exit_code, ended.late_reports) == ("dead", None, 1)


def test_what_is_given_up_is_stopped_when_its_agent_returns(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    (command,) = submit()
    agents.settle(NOW)
    agents.lose("host-a")
    store.sweep(after(11))
    store.sweep(after(400))
    agents.connect("host-a", now=after(401))

    tick(agents, after(402))

    assert now_of(command).state == "dead"
    assert not agents.agents["host-a"].held
    assert now_of(command).remind_at is None


def test_what_was_never_acknowledged_waits_for_its_worker_and_goes_to_no_other(agents: FakeAgents) -> None:
    command = placed(agents)
    agents.lose("host-a")
    agents.connect("host-b", now=after(5))
    for second in range(11, 300, 9):
        agents.beat(after(second))
        tick(agents, after(second))
    waiting = now_of(command)

    agents.connect("host-a", now=after(301))
    tick(agents, after(301))

    ended = now_of(command)
    assert (waiting.state, waiting.worker and waiting.worker.name) == ("scheduled", "host-a")
    assert (ended.state, ended.attempt, ended.worker and ended.worker.name) == ("done", 1, "host-a")


def test_what_a_lost_worker_never_acknowledged_is_dead_and_says_that_it_may_have_run(agents: FakeAgents) -> None:
    command = placed(agents)
    agents.lose("host-a")
    agents.connect("host-b", now=after(5))
    for second in (11, 20, 320):
        agents.beat(after(second))
        tick(agents, after(second))

    ended = now_of(command)
    assert (ended.state, ended.attempt) == ("dead", 1)
    assert ended.reason.startswith("host-a is lost since ")
    assert ended.reason.endswith(" s before it acknowledged it; it may have run")


def test_its_own_retries_have_a_command_run_elsewhere_that_a_lost_worker_never_acknowledged(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    (command,) = submit(retries=1)
    store.place_pending(NOW)
    agents.lose("host-a")
    agents.connect("host-b", now=after(5))
    for second in (11, 20, 320, 322):
        agents.beat(after(second))
        tick(agents, after(second))

    ended = now_of(command)
    assert (ended.state, ended.attempt, ended.worker and ended.worker.name) == ("done", 2, "host-b")


def test_what_a_removed_worker_never_acknowledged_is_dead(agents: FakeAgents) -> None:
    command = placed(agents)
    agents.lose("host-a")
    agents.connect("host-b", now=after(5))
    tick(agents, after(11))
    store.remove("host-a", after(12), "ann")

    agents.beat(after(400))
    tick(agents, after(400))

    ended = now_of(command)
    assert (ended.state, ended.reason) == (
        "dead",
        "its worker was removed or replaced before it acknowledged it; it may have run",
    )


@pytest.mark.parametrize("another", [{"worker_id": "another machine"}, {"journal": "another"}])
def test_what_was_not_acknowledged_is_dead_where_the_journal_that_would_know_is_gone(
    agents: FakeAgents, another: dict[str, str]
) -> None:
    agents.connect("host-a", now=NOW, journal="the first")
    (command,) = submit()
    store.place_pending(NOW)
    del agents.agents["host-a"]
    store.sweep(after(11))
    runs: list[RunCommand] = []
    agents.run = lambda order: runs.append(order) or Ran()  # type: ignore[func-returns-value]

    agents.connect("host-a", now=after(12), **{"journal": "the second", **another})
    tick(agents, after(12))
    tick(agents, after(13))

    assert (now_of(command).state, runs) == ("dead", [])


def test_an_order_names_the_journal_that_may_take_it(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW, journal="the first")

    submit()
    agents.settle(NOW)

    (order,) = [order for _, order in agents.published if isinstance(order, RunCommand)]
    assert order.journal == "the first"


def test_an_old_attempt_that_comes_to_life_is_stopped(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    (command,) = submit(retries=1)
    store.place_pending(NOW)
    agents.lose("host-a")
    agents.connect("host-b", now=after(5))
    agents.run = lambda order: Ran(holds=True)
    for second in (11, 20, 320, 322):
        agents.beat(after(second))
        tick(agents, after(second))
    agents.published.clear()
    agents.connect("host-a", now=after(323))

    with committing():
        report("host-a", *reports_on(command)[:2], now=after(323))

    (stop,) = [order for host, order in agents.published if isinstance(order, StopUnit)]
    assert (stop.unit, stop.attempt) == (f"command/{command.id}", 1)
    assert (now_of(command).state, now_of(command).attempt) == ("running", 2)


def test_what_was_acknowledged_waits_for_its_agent_and_is_not_run_elsewhere(agents: FakeAgents) -> None:
    agents.connect("host-a", "host-b", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    (command,) = submit(on="host-a")
    agents.settle(NOW)
    agents.lose("host-a")
    for second in range(11, 60, 5):
        agents.beat(after(second))
        tick(agents, after(second))
    waiting = now_of(command)

    agents.connect("host-a", now=after(61))
    agents.finish(f"command/{command.id}", after(62))
    agents.settle(after(62))

    assert (waiting.state, waiting.attempt) == ("running", 1)
    assert now_of(command).state == "done"


def test_a_lost_worker_ends_its_commands_when_its_time_is_over(agents: FakeAgents) -> None:
    command = placed(agents)
    report("host-a", *reports_on(command)[:2])
    store.sweep(after(11))
    store.sweep(after(300))
    waiting = now_of(command)

    store.sweep(after(312))

    assert waiting.state == "running"
    assert now_of(command).reason == "host-a is lost since 301 s with it; it may have run"


def test_an_order_that_was_lost_is_sent_again_under_the_same_attempt(agents: FakeAgents) -> None:
    command = placed(agents)
    agents.agents["host-a"].orders.clear()
    agents.beat(after(9))

    tick(agents, after(11))

    ended = now_of(command)
    assert (ended.state, ended.attempt) == ("done", 1)


def test_a_report_that_was_lost_is_asked_for(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    (command,) = submit()
    agents.settle(NOW)
    agents.finish(f"command/{command.id}", after(1))
    agents.agents["host-a"].spool.clear()
    agents.beat(after(29))

    tick(agents, after(31))

    assert any(isinstance(order, QueryUnits) for _, order in agents.published)
    assert now_of(command).state == "done"


def test_a_command_whose_agent_lost_its_journal_is_dead_and_not_run_again(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    (command,) = submit()
    agents.settle(NOW)
    agents.agents["host-a"].journal.clear()
    agents.beat(after(29))

    tick(agents, after(31))

    assert (now_of(command).state, now_of(command).attempt) == ("dead", 1)
    assert "journal was lost" in now_of(command).reason


def test_a_refused_command_is_given_to_another_worker(agents: FakeAgents) -> None:
    agents.connect("host-a", "host-b", now=NOW)
    agents.run = lambda order: Ran(refusal="is full") if order.attempt == 1 else Ran()

    (command,) = submit()
    agents.settle(NOW)

    ended = now_of(command)
    assert (ended.state, ended.attempt, ended.worker and ended.worker.name) == ("done", 2, "host-b")


def test_a_running_command_is_cancelled_by_its_agent(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    (command,) = submit()
    agents.settle(NOW)

    with committing():
        store.cancel([command.id], NOW, "ann", "no longer wanted")
    asked = now_of(command).state
    agents.settle(NOW)

    ended = now_of(command)
    assert (asked, ended.state, ended.reason, ended.signal) == ("running", "cancelled", "no longer wanted", 15)


def test_cancelling_what_a_lost_worker_may_hold_stops_it_there_when_it_returns(agents: FakeAgents) -> None:
    command = placed(agents)
    agents.lose("host-a")
    store.sweep(after(11))
    store.cancel([command.id], after(12), "ann", "no longer wanted")
    store.sweep(after(23))

    agents.connect("host-a", now=after(60))
    tick(agents, after(60))

    (stop,) = [order for order in agents.agents["host-a"].taken if isinstance(order, StopUnit)]
    assert (stop.unit, stop.attempt) == (f"command/{command.id}", 1)
    assert (now_of(command).state, now_of(command).remind_at) == ("cancelled", None)


def test_a_lost_order_to_stop_is_repeated(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    (command,) = submit()
    agents.settle(NOW)
    store.cancel([command.id], NOW, "ann", "no longer wanted")
    agents.agents["host-a"].orders.clear()
    agents.beat(after(9))

    tick(agents, after(11))

    assert now_of(command).state == "cancelled"


def test_cancelling_what_has_ended_changes_nothing(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    (command,) = submit()
    agents.settle(NOW)
    before = row_of(command)

    store.cancel([command.id, "unknown"], after(1), "ann", "late")

    assert row_of(command) == before


def test_the_apps_above_are_told_of_ended_commands(agents: FakeAgents) -> None:
    told: list[Command] = []

    def listener(commands: list[Command], **_: Any) -> None:
        told.extend(commands)

    def broken(**_: Any) -> None:
        raise RuntimeError("a listener that fails")

    commands_ended.connect(broken)
    commands_ended.connect(listener)
    try:
        agents.connect("host-a", now=NOW)
        (command,) = submit(owner="component/g/c/1")
        agents.settle(NOW)
    finally:
        commands_ended.disconnect(listener)
        commands_ended.disconnect(broken)

    assert [(one.id, one.state, one.owner) for one in told] == [(command.id, "done", "component/g/c/1")]


def test_an_invalid_command_refuses_all(agents: FakeAgents) -> None:
    with pytest.raises(InvalidDocument) as caught:
        store.submit([NewCommand(argv=["true"]), NewCommand(argv=[], on="=")], NOW)

    assert [fault.path for fault in caught.value.faults] == ["commands[1].argv", "commands[1].on"]
    assert not Command.objects.exists()


def test_one_idempotency_key_is_one_command(agents: FakeAgents) -> None:
    twice = submit(2, idempotency_key="k1")
    (again,) = submit(idempotency_key="k1")
    with pytest.raises(Conflict):
        store.submit([NewCommand(argv=["false"], idempotency_key="k1")], NOW)

    assert {command.id for command in [*twice, again]} == {Command.objects.get().id}


def test_output_pieces_may_come_twice_and_in_any_order(agents: FakeAgents) -> None:
    command = placed(agents)
    pieces = [
        Output(unit=f"command/{command.id}", attempt=1, stream="stdout", offset=offset, data=data)
        for offset, data in [(5, b"world"), (0, b"hello"), (5, b"world")]
    ]

    for piece in pieces:
        report("host-a", piece)

    assert store.output_of(command.id, "stdout") == b"helloworld"


def test_output_beyond_the_limit_or_of_another_attempt_is_not_kept(agents: FakeAgents) -> None:
    command = placed(agents)
    limit = command.output_limit_bytes
    unit = f"command/{command.id}"

    report("host-a", Output(unit=unit, attempt=1, stream="stdout", offset=limit - 2, data=b"1234"))
    report("host-a", Output(unit=unit, attempt=1, stream="stdout", offset=limit, data=b"56"))
    report("host-a", Output(unit=unit, attempt=9, stream="stdout", offset=0, data=b"x"))
    report("host-a", Output(unit=unit, attempt=1, stream="stdlog", offset=0, data=b"x"))

    kept = [(piece.offset, bytes(piece.data)) for piece in command.output.all()]
    assert kept == [(limit - 2, b"12")]


def test_a_worker_can_report_only_on_what_it_was_given(agents: FakeAgents) -> None:
    command = placed(agents)
    agents.connect("host-b", now=NOW)
    before = row_of(command)

    report("host-b", *reports_on(command))

    assert row_of(command) | {"late_reports": 0} == before
    assert now_of(command).late_reports == 3


def test_reports_on_what_does_not_exist_are_recorded_and_acknowledged(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)

    report("host-a", Accepted(unit="command/none", attempt=1, at=0), Accepted(unit="other/x", attempt=1, at=0))

    assert Event.objects.filter(name="worker.unknown_reports", subject="worker:host-a").count() == 1
    assert Worker.objects.get().applied_seq == 2


def test_dispatching_many_costs_a_constant_number_of_queries(
    agents: FakeAgents, django_assert_max_num_queries: Any
) -> None:
    agents.connect("host-a", "host-b", now=NOW)
    submit(60)

    with django_assert_max_num_queries(12):
        store.place_pending(NOW)

    assert Command.objects.filter(state="scheduled").count() == 60


def test_a_tick_costs_a_constant_number_of_queries(agents: FakeAgents, django_assert_max_num_queries: Any) -> None:
    agents.connect("host-a", "host-b", now=NOW)
    submit(40)
    store.place_pending(NOW)
    submit(40, on="zone=nowhere")

    with django_assert_max_num_queries(32):
        store.sweep(after(11))
