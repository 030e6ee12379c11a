"""The registry: who is connected, why not, and whose reports count."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler_project.models import Event
from scheduler_project.toolkit.errors import NotFound
from workers import store, units
from workers.core.commands import NewCommand
from workers.models import Command, Worker
from workers.protocol import Accepted, Applied, Heartbeat, Numbered, Reports, SetDraining
from workers.testing import FakeAgents, Ran, committing

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def lost_hosts() -> Iterator[list[tuple[str, str]]]:
    """What a listener was told of lost hosts."""
    told: list[tuple[str, str]] = []

    def listener(host: str, reason: str, now: datetime) -> None:
        told.append((host, reason))

    units.on_host_lost(listener)
    yield told
    units._host_lost.remove(listener)


def worker(name: str = "host-a") -> Worker:
    return Worker.objects.get(name=name)


def events_of(name: str = "host-a") -> list[str]:
    return list(Event.objects.filter(subject=f"worker:{name}").order_by("id").values_list("name", flat=True))


def reports(session: str, *numbers: int) -> Reports:
    accepted = Accepted(unit="command/none", attempt=1, at=0)
    return Reports(host="host-a", session=session, sent_at=0, reports=[Numbered(n, accepted) for n in numbers])


def acknowledged(agents: FakeAgents) -> list[int]:
    return [order.seq for _, order in agents.published if isinstance(order, Applied)]


def test_the_first_heartbeat_registers_a_worker(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW, labels={"zone": "a"}, slots=4)

    row = worker()
    assert (row.id, row.state, row.labels, row.slots) == ("id-of-host-a", "connected", {"zone": "a"}, 4)
    assert (row.registered_at, row.silent_at) == (NOW, after(10))
    assert events_of() == ["worker.connected"]


def test_heartbeats_of_a_living_worker_record_nothing_and_keep_it_connected(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)

    for second in (5, 10, 15):
        agents.beat(after(second))
        store.sweep(after(second))

    assert (worker().state, worker().last_seen_at) == ("connected", after(15))
    assert events_of() == ["worker.connected"]


def test_a_silent_worker_is_disconnected_with_its_reason(agents: FakeAgents, lost_hosts: list[tuple[str, str]]) -> None:
    agents.connect("host-a", now=NOW)
    agents.connect("host-b", now=after(5))

    store.sweep(after(10))

    assert (worker().state, worker().reason) == ("disconnected", "nothing heard for 10.0 s")
    assert worker("host-b").state == "connected"
    assert lost_hosts == [("host-a", "nothing heard for 10.0 s")]


def test_silence_may_be_shorter_than_a_second(agents: FakeAgents, settings: Any) -> None:
    settings.SCHEDULER_SILENCE_TIMEOUT_S = 0.2
    agents.connect("host-a", now=NOW)

    store.sweep(after(0.1))
    before = worker().state
    store.sweep(after(0.3))

    assert (before, worker().state) == ("connected", "disconnected")


def test_workers_are_not_called_silent_because_nobody_listened(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    store.sweep(after(1))

    store.sweep(after(3600))
    forgiven = worker().state
    for second in range(3601, 3612):
        store.sweep(after(second))

    assert (forgiven, worker().state) == ("connected", "disconnected")


def test_a_worker_that_is_heard_again_is_connected_again(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    store.sweep(after(11))

    agents.beat(after(12))

    assert (worker().state, worker().reason) == ("connected", "it is heard again")
    assert events_of() == ["worker.connected", "worker.disconnected", "worker.connected"]


def test_a_stopped_worker_is_disconnected_at_once_and_stays_so(
    agents: FakeAgents, lost_hosts: list[tuple[str, str]]
) -> None:
    agents.connect("host-a", now=NOW)
    late = agents.agents["host-a"]
    agents.stop("host-a", after(1))

    late.alive = True
    agents.beat(after(2))

    assert (worker().state, worker().reason) == ("disconnected", "stopped by its operator")
    assert lost_hosts == [("host-a", "stopped by its operator")]


def test_restarts_leave_one_worker(agents: FakeAgents) -> None:
    for n in range(20):
        agents.connect("host-a", now=after(n))

    assert Worker.objects.count() == 1


def test_the_newer_session_holds_the_name(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    older = agents.agents["host-a"]
    agents.connect("host-a", now=after(1), worker_id="id-of-another")
    newer = agents.agents.pop("host-a")

    agents.agents = {"host-a": older}
    for second in (2, 3):
        agents.beat(after(second))

    assert (worker().id, worker().session) == ("id-of-another", newer.session)
    assert events_of() == ["worker.connected", "worker.connected", "worker.refused"]


def test_what_ran_under_a_name_goes_on_under_its_new_holder(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    (command,) = store.submit([NewCommand(argv=["true"])], NOW)
    agents.settle(NOW)

    agents.connect("host-a", now=after(1), worker_id="id-of-another")
    agents.finish(f"command/{command.id}", after(2))
    agents.settle(after(2))

    command.refresh_from_db()
    assert (command.state, command.worker_id) == ("done", "id-of-another")


def test_two_hosts_cannot_share_a_worker_id(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW, worker_id="one")
    agents.connect("host-b", now=after(1), worker_id="one")

    assert [row.name for row in Worker.objects.all()] == ["host-a"]
    event = Event.objects.get(name="worker.refused")
    assert "give host-b a data folder of its own" in event.message


def test_a_worker_that_comes_back_under_another_name_is_the_same_worker(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW, worker_id="one")
    agents.stop("host-a", after(1))

    agents.connect("host-b", now=after(2), worker_id="one")

    assert [(row.id, row.name, row.state) for row in Worker.objects.all()] == [("one", "host-b", "connected")]


def test_draining_belongs_to_the_operator_and_is_told_at_every_connect(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    with committing():
        store.set_draining("host-a", True, NOW, "ann")
        store.set_draining("host-a", True, NOW, "ann")

    agents.connect("host-a", now=after(1))
    agents.settle(after(1))

    told = [order.draining for _, order in agents.published if isinstance(order, SetDraining)]
    assert told == [False, True, True]
    assert worker().draining
    assert agents.agents["host-a"].draining
    assert Event.objects.get(name="worker.draining").actor == "ann"


def test_a_draining_worker_is_given_nothing_until_it_is_undrained(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    store.set_draining("host-a", True, NOW, "ann")
    store.submit([NewCommand(argv=["true"])], NOW)
    agents.settle(NOW)
    waiting = Command.objects.get().reason

    store.set_draining("host-a", False, after(0.1), "ann")
    agents.settle(after(0.1))

    assert waiting == "no worker fits: host-a: draining"
    assert Command.objects.get().state == "done"


def test_what_ran_on_a_removed_worker_is_dead(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(holds=True)
    (command,) = store.submit([NewCommand(argv=["true"])], NOW)
    agents.settle(NOW)
    agents.stop("host-a", after(1))

    store.remove("host-a", after(2), "ann")
    store.sweep(after(31))

    command.refresh_from_db()
    assert (command.state, command.reason) == ("dead", "its worker was removed while it ran")


def test_an_unknown_worker_cannot_be_drained_or_removed() -> None:
    with pytest.raises(NotFound):
        store.set_draining("host-x", True, NOW, "ann")
    with pytest.raises(NotFound):
        store.remove("host-x", NOW, "ann")


def test_reports_of_a_session_that_does_not_hold_the_name_are_refused_and_counted(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)

    for _ in range(3):
        store.apply_reports(reports("forged", 1, 2), NOW)

    assert (worker().refused_reports, worker().applied_seq) == (6, 0)
    assert events_of() == ["worker.connected", "worker.refused"]


def test_reports_of_a_host_that_never_connected_are_refused() -> None:
    store.apply_reports(reports("any", 1), NOW)

    assert not Worker.objects.exists()


def test_an_envelope_that_overtook_another_is_not_acknowledged_beyond_the_gap(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    session = worker().session

    with committing():
        store.apply_reports(reports(session, 1, 2), NOW)
        store.apply_reports(reports(session, 5, 6), NOW)
        store.apply_reports(reports(session, 3, 4, 5, 6), NOW)
        store.apply_reports(reports(session), NOW)

    assert acknowledged(agents) == [2, 2, 6]


def test_a_heartbeat_costs_a_constant_number_of_queries(agents: FakeAgents, django_assert_max_num_queries: Any) -> None:
    for n in range(10):
        agents.connect(f"host-{n}", now=NOW)
    row = worker("host-3")
    heartbeat = Heartbeat(
        host=row.name,
        worker_id=row.id,
        session=row.session,
        started_at=row.session_started_at,
        sent_at=0,
        version="",
        address="",
    )

    with django_assert_max_num_queries(4):
        store.apply_heartbeats([heartbeat], after(1))
