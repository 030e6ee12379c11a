"""Any number of beats may run: one sends, the next takes over, and no outage ends them."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import django.db
import pytest
import time_machine
from celery import Celery
from celery.beat import ScheduleEntry, SchedulingError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scheduler_project import clock
from scheduler_project.clock import LeasedScheduler, clock_settings
from scheduler_project.models import Lease

pytestmark = pytest.mark.django_db


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("clock-under-test", broker="memory://", set_as_current=False)
    app.conf.update(clock_settings("control"), task_ignore_result=True)
    yield app
    app.close()


@pytest.fixture
def traveller() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


class Beat(LeasedScheduler):
    """A scheduler that keeps what it would have sent; `broken` makes the broker refuse."""

    def __init__(self, app: Celery) -> None:
        self.sent: list[str] = []
        self.broken = False
        super().__init__(app=app)

    def apply_async(self, entry: ScheduleEntry, *_args: Any, **_options: Any) -> None:
        if self.broken:
            raise SchedulingError("connection refused")
        self.sent.append(entry.task)


@pytest.fixture
def pass_time(traveller: time_machine.Traveller) -> Callable[..., None]:
    """Lets seconds go by, ticking every beat in each of them."""

    def pass_seconds(seconds: int, *beats: Beat) -> None:
        for _ in range(seconds):
            traveller.shift(timedelta(seconds=1))
            for beat in beats:
                beat.tick()

    return pass_seconds


def test_every_due_entry_is_sent_in_one_tick(app: Celery, pass_time: Callable[..., None]) -> None:
    beat = Beat(app)

    pass_time(5, beat)

    due = [name for name, every_s in clock.PERIODIC_TASKS_S.items() for _ in range(int(5 // every_s))]
    assert sorted(beat.sent) == sorted(due)


def test_of_two_beats_one_sends(app: Celery, pass_time: Callable[..., None]) -> None:
    leader, standby = Beat(app), Beat(app)

    pass_time(30, leader, standby)

    assert len(leader.sent) >= 30
    assert standby.sent == []


def test_a_dead_leader_is_followed_within_five_seconds(app: Celery, pass_time: Callable[..., None]) -> None:
    leader, standby = Beat(app), Beat(app)
    pass_time(4, leader, standby)

    pass_time(5, standby)

    assert standby.sent


def test_a_leader_that_pauses_for_less_than_its_lease_leads_on(app: Celery, pass_time: Callable[..., None]) -> None:
    leader, standby = Beat(app), Beat(app)
    pass_time(4, leader, standby)

    pass_time(3, standby)
    pass_time(1, leader, standby)

    assert standby.sent == []
    assert leader.leadership.holds(timezone.now())


def test_leading_and_standing_by_cost_the_database_a_statement_a_second(
    app: Celery, pass_time: Callable[..., None]
) -> None:
    leader, standby = Beat(app), Beat(app)
    pass_time(1, leader, standby)

    with CaptureQueriesContext(connection) as asked:
        pass_time(10, leader, standby)

    words = Counter(query["sql"].split()[0] for query in asked.captured_queries)
    assert words == {"UPDATE": 10, "SELECT": 10}


def test_a_leader_that_stops_in_order_is_followed_at_once(app: Celery, pass_time: Callable[..., None]) -> None:
    leader, standby = Beat(app), Beat(app)
    pass_time(4, leader, standby)

    leader.close()
    pass_time(2, standby)

    assert standby.sent


def test_a_leader_whose_lease_was_taken_falls_silent(app: Celery, pass_time: Callable[..., None]) -> None:
    beat = Beat(app)
    pass_time(4, beat)
    Lease.objects.filter(name=clock.LEASE).update(holder="thief", expires_at=timezone.now() + timedelta(hours=1))
    pass_time(3, beat)
    beat.sent.clear()

    pass_time(20, beat)

    assert beat.sent == []


def test_a_leader_that_was_stopped_for_long_asks_before_it_sends(
    app: Celery, pass_time: Callable[..., None], traveller: time_machine.Traveller
) -> None:
    leader, standby = Beat(app), Beat(app)
    pass_time(4, leader)
    traveller.shift(timedelta(minutes=1))
    standby.tick()
    leader.sent.clear()

    leader.tick()

    assert standby.sent
    assert leader.sent == []


def test_a_refusing_broker_is_one_line_and_the_entries_stay_due(
    app: Celery, pass_time: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    beat = Beat(app)
    beat.broken = True
    with caplog.at_level(logging.WARNING, logger=clock.__name__):
        pass_time(1, beat)
    beat.broken = False

    pass_time(1, beat)

    assert [record.exc_info for record in caplog.records] == [None]
    assert "waits for the broker" in caplog.text
    assert "topologies.fire_due" in beat.sent


@pytest.mark.django_db(transaction=True)
def test_a_failing_database_is_one_line_and_the_beat_goes_on(
    app: Celery, pass_time: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise django.db.OperationalError("could not connect\n\tis the server running?")

    beat = Beat(app)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, logger=clock.__name__):
        patch.setattr("scheduler_project.toolkit.leases.acquire", refuse)
        pass_time(1, beat)
    assert [record.getMessage() for record in caplog.records] == ["clock.waits for the database: could not connect"]

    pass_time(3, beat)

    assert beat.sent


def test_stopping_while_the_database_is_away_ends_in_order(
    app: Celery, pass_time: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise django.db.OperationalError("gone")

    beat = Beat(app)
    pass_time(1, beat)
    monkeypatch.setattr("scheduler_project.toolkit.leases.release", refuse)

    beat.close()

    assert "keeps the lease until it ends: gone" in caplog.text


def test_messages_of_the_schedule_reach_the_control_queue(app: Celery, pass_time: Callable[..., None]) -> None:
    beat = LeasedScheduler(app=app)

    pass_time(1, beat)

    with app.connection_for_read() as connection, connection.SimpleQueue("control") as queue:
        message = queue.get_nowait()
        message.ack()
    assert message.headers["task"] in clock.PERIODIC_TASKS_S
    assert message.headers["expires"]
    beat.close()


def test_a_lost_connection_to_the_broker_is_made_anew(app: Celery, pass_time: Callable[..., None]) -> None:
    beat = LeasedScheduler(app=app)
    pass_time(1, beat)
    before = beat.connection

    beat.drop_connection()
    pass_time(1, beat)

    assert beat.connection is not before
    beat.close()
