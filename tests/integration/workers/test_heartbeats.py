"""Heartbeats in batches: what one batch costs, and what becomes of those that are not plain signs of life."""

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.trust import enrolled, sealed
from tests.support.wait import wait_until
from workers import heartbeats, store
from workers.heartbeats import Collector, apply_texts, text_of
from workers.models import Worker
from workers.protocol import HEARTBEAT_TASK, Heartbeat, encode
from workers.testing import FakeAgents

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def beat(number: int, session: str = "s", started_at: float = 1, **fields: Any) -> Heartbeat:
    return Heartbeat(
        host=f"host-{number}",
        worker_id=f"id-{number}",
        session=session,
        started_at=started_at,
        sent_at=0,
        version="1",
        address="here",
        **fields,
    )


def message(text: Any, expires: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(headers={"expires": expires}, payload=[[text], {}, {}])


def signed(number: int) -> SimpleNamespace:
    """The message of an agent that has enrolled."""
    enrolled(f"host-{number}", f"id-{number}")
    return message(sealed(f"host-{number}", HEARTBEAT_TASK, encode(beat(number))))


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 40])
def test_a_batch_of_living_agents_costs_a_constant_number_of_queries(
    agents: FakeAgents, django_assert_max_num_queries: Any, count: int
) -> None:
    store.apply_heartbeats([beat(number) for number in range(count)], NOW)

    with django_assert_max_num_queries(4):
        store.apply_heartbeats([beat(number, running=3) for number in range(count)], after(5))

    rows = Worker.objects.all()
    assert {(row.state, row.running, row.last_seen_at, row.silent_at) for row in rows} == {
        ("connected", 3, after(5), after(15))
    }


@pytest.mark.django_db
def test_one_batch_may_hold_new_ones_returning_ones_living_ones_and_goodbyes(agents: FakeAgents) -> None:
    store.apply_heartbeats([beat(1), beat(2), beat(3)], NOW)
    store.apply_heartbeats([beat(3, stopping=True)], after(1))
    store.apply_heartbeats([beat(2), beat(4)], after(9))
    store.sweep(after(12))

    store.apply_heartbeats([beat(1), beat(2), beat(3), beat(4, stopping=True), beat(4), beat(5)], after(13))

    states = dict(Worker.objects.order_by("name").values_list("name", "state"))
    assert states == {
        "host-1": "connected",
        "host-2": "connected",
        "host-3": "disconnected",
        "host-4": "disconnected",
        "host-5": "connected",
    }


@pytest.mark.django_db
def test_an_older_session_in_the_same_batch_does_not_count(agents: FakeAgents) -> None:
    store.apply_heartbeats([beat(1, "old", 1), beat(1, "new", 2), beat(1, "old", 1)], NOW)

    assert Worker.objects.get().session == "new"


@pytest.mark.django_db
def test_one_that_cannot_be_read_does_not_keep_the_others_from_counting(agents: FakeAgents) -> None:
    enrolled("host-1", "id-1")

    apply_texts(["{", sealed("host-1", HEARTBEAT_TASK, encode(beat(1)), NOW), "null"], NOW)

    assert Worker.objects.count() == 1


@pytest.mark.parametrize(
    "unusable",
    [
        message("text", expires="yesterday"),
        message(7),
        SimpleNamespace(headers={}, payload=[]),
        SimpleNamespace(headers={}, payload=7),
        SimpleNamespace(headers={}, payload=None),
    ],
)
def test_a_message_of_another_kind_is_given_on_as_unreadable(unusable: Any) -> None:
    assert text_of(unusable, NOW) == ""


def test_a_message_that_has_expired_is_dropped() -> None:
    assert text_of(message("text", expires="2026-11-21T11:59:59+00:00"), NOW) is None


def test_a_message_gives_its_one_argument() -> None:
    assert text_of(message("text", expires="2026-11-21T12:00:01+00:00"), NOW) == "text"


@pytest.mark.django_db(transaction=True)
def test_the_collector_applies_what_has_come_together_also_when_it_is_stopped(agents: FakeAgents) -> None:
    collector = Collector()
    collector.start()
    for number in range(3):
        collector.add(signed(number))
    wait_until(lambda: Worker.objects.count() == 3, what="all three")

    collector.add(signed(3))
    collector.stop()

    assert Worker.objects.count() == 4


def test_what_comes_while_others_are_applied_is_applied_too_when_the_collector_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    applied: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def apply(texts: list[str], now: datetime) -> None:
        applied.extend(texts)
        begun.set()
        go_on.wait(10)

    monkeypatch.setattr(heartbeats, "apply_texts", apply)
    collector = Collector()
    collector.start()
    collector.add(message("first"))
    assert begun.wait(10)

    collector.add(message("second"))
    stopping = threading.Thread(target=collector.stop)
    stopping.start()
    go_on.set()
    stopping.join(10)

    assert not stopping.is_alive()
    assert applied == ["first", "second"]
