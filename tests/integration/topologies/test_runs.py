"""A run ends as its graph does, may be asked for by hand, and can be killed."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import time_machine
from pytest_django import DjangoAssertNumQueries

import graphs.store
from graphs.models import Graph
from scheduler_project.models import Event
from scheduler_project.toolkit.errors import Conflict, NotFound
from tests.integration.topologies.support import MINUTE, NOON, created, once, seconds, states
from topologies import store
from topologies.models import Run
from workers.protocol import RunCommand
from workers.testing import FakeAgents, Ran

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def agents() -> Iterator[FakeAgents]:
    """Two hosts; what asks the real clock meanwhile is told that it is noon."""
    with time_machine.travel(NOON, tick=False), FakeAgents() as agents:
        agents.connect("host-a", "host-b", now=NOON)
        yield agents


@pytest.fixture
def carry_on(agents: FakeAgents) -> Callable[..., None]:
    """Lets graphs and agents work for the steps that a graph of three takes."""

    def work(now: datetime = NOON + MINUTE) -> None:
        for _ in range(4):
            graphs.store.advance(list(Graph.objects.unfinished().values_list("pk", flat=True)), now)
            agents.settle(now)

    return work


def test_a_cron_run_whose_commands_succeed_is_successful(carry_on: Callable[..., None]) -> None:
    created()
    store.fire_due(NOON + MINUTE)

    carry_on()

    run = Run.objects.get()
    assert (run.state, run.reason) == ("successful", "")
    assert run.ended_at is not None


def test_runs_asked_for_and_runs_at_an_instant_are_completed(carry_on: Callable[..., None]) -> None:
    created(trigger=once(NOON + MINUTE))
    store.fire_due(NOON + MINUTE)
    store.run_now("report", NOON + MINUTE, "ann")

    carry_on()

    assert sorted(Run.objects.values_list("kind", "state")) == [("instant", "completed"), ("once", "completed")]


def test_a_command_that_fails_fails_the_run_with_the_reason(agents: FakeAgents, carry_on: Callable[..., None]) -> None:
    def fail(order: RunCommand) -> Ran:
        return Ran(exit_code=3)

    agents.run = fail
    created()
    store.fire_due(NOON + MINUTE)

    carry_on()

    run = Run.objects.get()
    assert run.state == "failed"
    assert run.reason
    assert Event.objects.filter(name="run.failed", subject=f"run:{run.pk}", level="error").exists()


def test_components_are_carried_out_in_the_order_of_their_dependencies(
    agents: FakeAgents, carry_on: Callable[..., None]
) -> None:
    created(
        graph={
            "components": [
                {"name": "third", "command": "echo 3", "after": ["second"]},
                {"name": "first", "command": "echo 1"},
                {"name": "second", "command": "echo 2", "after": ["first"], "on": "host-b"},
            ]
        }
    )
    store.fire_due(NOON + MINUTE)

    carry_on()

    ran = [(host, order.argv[-1]) for host, order in agents.published if isinstance(order, RunCommand)]
    assert [argv for _, argv in ran] == ["echo 1", "echo 2", "echo 3"]
    assert ran[1][0] == "host-b"


def test_a_component_can_read_what_an_earlier_one_wrote(agents: FakeAgents, carry_on: Callable[..., None]) -> None:
    agents.run = lambda order: Ran(stdout=b"42 rows")
    read = '$(changes.#[_component_id="command::extract"].stdout)'
    components = [
        {"name": "extract", "command": "count"},
        {"name": "load", "command": 'echo "$ROWS"', "env": {"ROWS": read}, "after": ["extract"]},
    ]
    created(graph={"components": components})
    store.fire_due(NOON + MINUTE)

    carry_on()

    last = [order for _, order in agents.published if isinstance(order, RunCommand)][-1]
    assert last.env["ROWS"] == "42 rows"


def test_an_end_that_nobody_told_of_is_found_by_looking() -> None:
    created()
    store.fire_due(NOON + MINUTE)
    Graph.objects.update(state="errored", reason="extract failed", ended_at=NOON + MINUTE + seconds(3))

    store.settle_ended(NOON + MINUTE + seconds(4))

    run = Run.objects.get()
    assert (run.state, run.reason, run.ended_at) == ("failed", "extract failed", NOON + MINUTE + seconds(3))


def test_a_run_whose_graph_is_gone_has_failed_and_says_so() -> None:
    created()
    store.fire_due(NOON + MINUTE)
    Graph.objects.all().delete()

    store.settle_ended(NOON + 2 * MINUTE)

    run = Run.objects.get()
    assert run.state == "failed"
    assert "its graph is no longer there" in run.reason


def test_after_a_run_has_ended_the_next_fire_runs(carry_on: Callable[..., None]) -> None:
    created()
    store.fire_due(NOON + MINUTE)
    carry_on()

    store.fire_due(NOON + 2 * MINUTE)

    assert states() == ["successful", "running"]


def test_many_runs_are_settled_in_a_constant_number_of_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(20):
        created(f"report-{number}")
    store.fire_due(NOON + MINUTE)
    Graph.objects.update(state="completed", ended_at=NOON + MINUTE)

    with django_assert_max_num_queries(6):
        store.settle_ended(NOON + 2 * MINUTE)

    assert Run.objects.filter(state="successful").count() == 20


def test_a_paused_topology_can_be_run_by_hand() -> None:
    created()
    store.pause("report", NOON, "ann")

    run = store.run_now("report", NOON, "ann")

    assert (run.state, run.kind, run.actor) == ("running", "instant", "ann")
    assert Graph.objects.filter(pk=run.graph_id).exists()


def test_a_run_by_hand_does_not_wait_for_one_in_progress() -> None:
    created()

    first, second = store.run_now("report", NOON, "ann"), store.run_now("report", NOON, "bob")

    assert first.pk != second.pk
    assert states() == ["running", "running"]


def test_asking_again_with_the_same_key_returns_the_first_run() -> None:
    created()

    first = store.run_now("report", NOON, "ann", "key-1")
    again = store.run_now("report", NOON + MINUTE, "ann", "key-1")

    assert again.pk == first.pk
    assert states() == ["running"]


def test_what_is_not_there_cannot_be_run() -> None:
    with pytest.raises(NotFound, match="there is no topology report"):
        store.run_now("report", NOON, "ann")


def test_a_killed_run_stops_its_commands_and_is_cancelled(agents: FakeAgents, carry_on: Callable[..., None]) -> None:
    agents.run = lambda order: Ran(holds=True)
    created()
    store.fire_due(NOON + MINUTE)
    carry_on()
    run = Run.objects.get()

    killed = store.kill(run.pk, NOON + 2 * MINUTE, "ann")
    carry_on(NOON + 2 * MINUTE)

    assert killed.state == "running"
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert "ann" in Event.objects.get(name="run.kill_requested").message


def test_a_run_that_has_not_started_anything_is_cancelled_at_once() -> None:
    created()
    run = store.run_now("report", NOON, "ann")

    assert store.kill(run.pk, NOON + seconds(1), "ann").state == "cancelled"


def test_an_ended_run_cannot_be_killed() -> None:
    created()
    store.fire_due(NOON + MINUTE)
    run = store.run_now("report", NOON, "ann")
    store.kill(run.pk, NOON + seconds(1), "ann")

    with pytest.raises(Conflict, match="is already cancelled"):
        store.kill(run.pk, NOON + seconds(2), "ann")


def test_killing_a_run_whose_graph_has_just_ended_settles_it() -> None:
    created()
    run = store.run_now("report", NOON, "ann")
    Graph.objects.update(state="completed", ended_at=NOON + seconds(1))

    with pytest.raises(Conflict):
        store.kill(run.pk, NOON + seconds(2), "ann")

    run.refresh_from_db()
    assert run.state == "completed"
    assert not Event.objects.filter(name="run.kill_requested").exists()


def test_an_unknown_run_cannot_be_killed() -> None:
    with pytest.raises(NotFound, match="there is no run r1"):
        store.kill("r1", NOON, "ann")


def test_runs_in_progress_outlive_their_topology_and_the_answer_says_so() -> None:
    created()
    run = store.run_now("report", NOON, "ann")

    deleted = store.delete("report", NOON, "ann")

    run.refresh_from_db()
    assert (deleted.state, run.state) == ("deleted", "running")
    assert "runs in progress go on: 1" in deleted.reason


def test_a_deleted_topology_fires_no_more_and_frees_its_name() -> None:
    created()
    store.delete("report", NOON, "ann")
    store.fire_due(NOON + timedelta(minutes=5))
    assert states() == []

    again = created(now=NOON + timedelta(minutes=10))
    store.fire_due(NOON + timedelta(minutes=11))

    assert [run.topology_id for run in Run.objects.all()] == [again.pk]
