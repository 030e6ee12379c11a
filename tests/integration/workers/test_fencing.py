"""Two agents with one name: which of them counts, and what the other is told."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler_project.models import Event
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, Worker
from workers.protocol import RunCommand, Superseded
from workers.testing import FakeAgent, FakeAgents, Ran, committing

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def two_agents(agents: FakeAgents, **newer: str) -> tuple[FakeAgent, FakeAgent]:
    """The older, which is frozen when the newer connects, and the newer."""
    agents.connect("host-a", now=NOW)
    older = agents.agents["host-a"]
    agents.connect("host-a", now=after(1), **newer)
    return older, agents.agents["host-a"]


def told(agents: FakeAgents, agent: FakeAgent) -> list[str]:
    return [
        order.reason
        for _, order in agents.published
        if isinstance(order, Superseded) and order.session == agent.session
    ]


def test_each_new_session_has_a_higher_token_and_a_living_one_keeps_its_own(agents: FakeAgents) -> None:
    tokens = []
    for second in (0, 5, 6, 7):
        if second != 5:
            agents.connect("host-a", now=after(second))
        agents.beat(after(second))
        tokens.append(Worker.objects.get().fence)

    assert tokens[0] == tokens[1] < tokens[2] < tokens[3]
    assert agents.agents["host-a"].holding.fence == tokens[3]


def test_the_token_grows_also_where_the_worker_was_removed(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.connect("host-a", now=after(0.1))
    before = Worker.objects.get().fence
    agents.stop("host-a", after(3))
    store.remove("host-a", after(3), "ann")

    agents.connect("host-a", now=after(4))

    assert Worker.objects.get().fence > before


@pytest.mark.parametrize("worker_id", ["id-of-host-a", "id-of-another"])
def test_the_older_of_two_is_told_why_at_once_and_takes_nothing_more(agents: FakeAgents, worker_id: str) -> None:
    older, newer = two_agents(agents, worker_id=worker_id)
    (reason,) = told(agents, older)

    agents.agents = {"host-a": older}
    agents.beat(after(2))

    assert "a newer agent at 127.0.0.1 holds the name" in reason
    assert not older.alive
    assert Worker.objects.get().session == newer.session


def test_an_older_one_that_comes_back_from_a_freeze_ends_and_the_newer_one_works_on(agents: FakeAgents) -> None:
    older, newer = two_agents(agents)
    agents.agents = {"host-a": newer}
    for second in (30, 60, 90):
        agents.beat(after(second))

    agents.agents = {"host-a": older}
    agents.beat(after(91))
    agents.agents = {"host-a": newer}
    store.submit([NewCommand(argv=["true"])], after(92))
    agents.settle(after(92))

    assert (older.alive, newer.alive) == (False, True)
    assert Command.objects.get().state == "done"


def test_an_order_for_the_newer_one_is_not_carried_out_by_the_older(agents: FakeAgents) -> None:
    older, _ = two_agents(agents)
    agents.agents = {"host-a": older}

    store.submit([NewCommand(argv=["true"])], after(2))
    agents.settle(after(2))

    assert not [order for order in older.taken if isinstance(order, RunCommand)]
    assert not older.alive


def test_the_older_one_is_told_again_until_it_hears_it_and_recorded_once(agents: FakeAgents) -> None:
    older, _ = two_agents(agents)
    older.holding.fence = 0
    for second in (2, 7, 12):
        agents.agents = {"host-a": older}
        older.alive = True
        agents.beat(after(second))

    assert len(told(agents, older)) == 4
    refused = Event.objects.get(name="worker.refused")
    assert "its agent has been started anew since this session" in refused.message


def test_how_commands_ended_is_counted_for_each_worker(agents: FakeAgents) -> None:
    agents.connect("host-a", "host-b", now=NOW)
    agents.run = lambda order: Ran(exit_code=int(order.argv[1]))
    store.submit([NewCommand(argv=["exit", code], on="host-a") for code in ("0", "0", "0", "7")], NOW)
    agents.settle(NOW)
    agents.run = lambda order: Ran(start_error="not found")
    store.submit([NewCommand(argv=["no-such"], on="host-a")], NOW)
    agents.settle(NOW)
    agents.run = lambda order: Ran(holds=True)
    (held,) = store.submit([NewCommand(argv=["sleep"], on="host-a")], NOW)
    agents.settle(NOW)
    with committing():
        store.cancel([held.id], after(1), "ann", "enough")
    agents.settle(after(1))

    found = Worker.objects.in_bulk(field_name="name")
    assert found["host-a"].counters == {"done": 3, "failed": 1, "dead": 1, "cancelled": 1}
    assert set(found["host-b"].counters.values()) == {0}


def test_the_registry_and_the_event_say_who_followed_whom(agents: FakeAgents) -> None:
    older, newer = two_agents(agents)

    event = Event.objects.filter(name="worker.connected").latest("id")
    assert Worker.objects.get().reason == "its agent was started"
    assert event.data["session"] == newer.session
    assert event.data["followed"] == older.session
    assert event.data["fence"] == Worker.objects.get().fence
