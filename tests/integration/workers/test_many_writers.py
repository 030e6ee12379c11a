"""Several control workers at once: nothing is sent twice, applied twice or lost."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from scheduler_project.models import Event
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, Worker
from workers.protocol import Accepted, Ended, Heartbeat, Numbered, Report, Reports, RunCommand, Started
from workers.store import placing, sweeping
from workers.testing import FakeAgents

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WRITERS = 4


def at_once(work: Callable[[], object]) -> None:
    """Runs the work in several threads, each with its own connection to the database."""

    def run(_: int) -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(run, range(WRITERS)))


def test_each_command_is_sent_once_and_in_turn(agents: FakeAgents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "BATCH_SIZE", 5)
    agents.connect("host-a", "host-b", now=NOW)
    store.submit([NewCommand(argv=["true"])] * 60, NOW)

    def place_all() -> None:
        while Command.objects.filter(state="pending").exists():
            store.place_pending(NOW)

    at_once(place_all)

    sent = [(host, order.unit) for host, order in agents.published if isinstance(order, RunCommand)]
    assert len(sent) == len(set(sent)) == 60
    assert Counter(host for host, _ in sent) == {"host-a": 30, "host-b": 30}


def test_an_envelope_that_is_applied_by_all_of_them_counts_once(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    commands = store.submit([NewCommand(argv=["true"])] * 20, NOW)
    store.place_pending(NOW)
    reports: list[Report] = []
    for command in commands:
        unit, at = f"command/{command.id}", NOW.timestamp()
        reports += [
            Accepted(unit=unit, attempt=1, at=at),
            Started(unit=unit, attempt=1, at=at, pid=1),
            Ended(unit=unit, attempt=1, at=at, exit_code=0),
        ]
    numbered = [Numbered(number, report) for number, report in enumerate(reports, 1)]
    envelope = Reports(host="host-a", session=Worker.objects.get().session, sent_at=0, reports=numbered)

    at_once(lambda: store.apply_reports(envelope, NOW))

    assert Counter(Command.objects.values_list("state", flat=True)) == {"done": 20}
    assert Event.objects.filter(name="command.done").count() == 20


def test_all_of_them_sweeping_repeats_each_order_once(agents: FakeAgents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH_SIZE", 5)
    agents.connect("host-a", now=NOW)
    store.submit([NewCommand(argv=["true"])] * 20, NOW)
    store.place_pending(NOW)
    agents.beat(NOW + timedelta(seconds=9))
    agents.published.clear()

    def sweep_all() -> None:
        for _ in range(8):
            store.sweep(NOW + timedelta(seconds=10))

    at_once(sweep_all)

    sent = [order.unit for _, order in agents.published if isinstance(order, RunCommand)]
    assert len(sent) == len(set(sent)) == 20


def test_the_bound_of_an_array_holds_while_all_of_them_place_and_end_its_commands(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW, slots=100)
    session = Worker.objects.get().session
    store.submit_array(NewCommand(argv=["true"], retries=1, retry_delay_s=0), "0-39", 5, NOW)
    sent = Command.objects.filter(state__in=["scheduled", "running"])
    most: list[int] = []

    def carry_out() -> None:
        while Command.objects.filter(state__in=["pending", "scheduled"]).exists():
            store.place_pending(NOW)
            most.append(sent.count())
            ended = [
                Ended(unit=f"command/{id}", attempt=attempt, at=0, exit_code=0 if attempt > 1 else 1)
                for id, attempt in sent.values_list("id", "attempt")[:2]
            ]
            numbered = [Numbered(number, report) for number, report in enumerate(ended, 1)]
            store.apply_reports(Reports(host="host-a", session=session, sent_at=0, reports=numbered), NOW)

    at_once(carry_out)

    assert max(most) == 5
    assert set(Command.objects.values_list("state", "attempt", "retried")) == {("done", 2, 1)}
    assert not Command.objects.filter(held_by__isnull=False).exists()


def test_one_key_submitted_by_all_of_them_is_one_command(agents: FakeAgents) -> None:
    at_once(lambda: store.submit([NewCommand(argv=["true"], idempotency_key="k1")], NOW))

    assert Command.objects.count() == 1


def test_one_new_worker_heard_by_all_of_them_is_registered_once(agents: FakeAgents) -> None:
    heartbeat = Heartbeat(
        host="host-a", worker_id="a", session="s", started_at=1, sent_at=1, version="1", address="here"
    )

    at_once(lambda: store.apply_heartbeats([heartbeat], NOW))

    assert Worker.objects.get().state == "connected"
    assert Event.objects.filter(name="worker.connected").count() == 1
