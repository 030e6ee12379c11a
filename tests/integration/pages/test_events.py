"""The stream of events over HTTP."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event as Signal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from django.http import StreamingHttpResponse
from django.test import AsyncClient
from django.utils import timezone

from scheduler_project import event_feed
from scheduler_project.event_feed import DatabaseEventLog, EventFeed
from scheduler_project.models import Event
from scheduler_project.toolkit.events import GapWatch, NewEvent, record, settled_position, subjects_after, writers
from tests.support.wait import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
only_on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL tells who writes")


def make_events(*subjects: str) -> list[int]:
    """Records one event for each subject; their ids."""
    record([NewEvent("thing.happened", subject, "why", data={"a": 1}) for subject in subjects], timezone.now())
    return list(Event.objects.values_list("id", flat=True))


class LogInThisThread(EventFeed):
    """A feed that reads where the test does, so that no connection is left open in a thread."""

    async def _in_thread(self, call: Any, *args: object) -> Any:
        return await sync_to_async(call)(*args)


@pytest.fixture(autouse=True)
def feed_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "close_old_connections", lambda: None)
    monkeypatch.setattr(
        "scheduler_project.sse.feed_of_this_loop", lambda: LogInThisThread(DatabaseEventLog(), poll_s=0.01)
    )


def stream_of(headers: dict[str, str], query: str = "", parts: int = 2) -> tuple[Any, bytes]:
    """The response and the first parts of its body."""

    async def ask() -> tuple[Any, bytes]:
        answer: Any = await AsyncClient().get(f"/api/v1/events{query}", headers=headers)
        if not isinstance(answer, StreamingHttpResponse):
            return answer, answer.content
        body: Any = answer.streaming_content
        found = [await anext(body) for _ in range(parts)]
        await body.aclose()
        return answer, b"".join(found)

    async def ask_and_hang_up() -> tuple[Any, bytes]:
        try:
            return await ask()
        finally:
            await sync_to_async(connections.close_all)()  # those of the thread that the view ran in

    return asyncio.run(asyncio.wait_for(ask_and_hang_up(), 20))


def test_a_stream_goes_on_after_the_id_that_is_asked_for(bearer: dict[str, str]) -> None:
    first, second = make_events("graph:b1", "graph:b1")

    answer, body = stream_of(bearer, f"?after={first}")

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert f"id: {second}\n".encode() in body
    assert f"id: {first}\n".encode() not in body
    assert b'"subject":"graph:b1"' in body


def test_the_last_id_that_a_browser_saw_wins(bearer: dict[str, str]) -> None:
    first, second = make_events("graph:b1", "graph:b1")

    _, body = stream_of({**bearer, "Last-Event-ID": str(first)}, "?after=0")

    assert body.count(b"id: ") == 1
    assert f"id: {second}\n".encode() in body


def test_a_subject_narrows_the_stream(bearer: dict[str, str]) -> None:
    _, wanted = make_events("graph:b1", "worker:host-a")

    _, body = stream_of(bearer, "?after=0&subject=worker:")

    assert body.count(b"id: ") == 1
    assert f"id: {wanted}\n".encode() in body


def test_an_id_that_is_none_is_refused(bearer: dict[str, str]) -> None:
    answer, body = stream_of({**bearer, "Last-Event-ID": "soon"})

    assert answer.status_code == 422
    assert b"Last-Event-ID" in body


def test_a_stranger_gets_no_stream() -> None:
    assert stream_of({})[0].status_code == 401


def test_events_that_may_still_have_older_ones_uncommitted_are_not_settled() -> None:
    make_events("graph:b1")

    assert settled_position(timezone.now()) == 0


class Roll(Exception):
    """Rolls a transaction back."""


def one_that_comes_to_nothing() -> None:
    with suppress(Roll), transaction.atomic():
        make_events("graph:none")
        raise Roll


def looks(watch: GapWatch, *at_s: float) -> list[int]:
    """How many events the watch passes on at each of these moments."""
    found = []
    for now_s in at_s:
        known = writers()
        found.append(watch.passed([one for one, _ in subjects_after(watch.position, 100)], now_s, known))
    return found


def passed_once_all_are_over(watch: GapWatch, at_s: float, count: int) -> None:
    """The server's other transactions, of tests beside this one, count as writers too until they are over."""
    wait_until(lambda: looks(watch, at_s) == [count], what="the events to be passed on")


@only_on_postgresql
def test_events_behind_a_transaction_that_was_rolled_back_are_not_kept_waiting() -> None:
    watch = GapWatch(max(make_events("graph:b1")), hold_s=60)
    one_that_comes_to_nothing()
    make_events("graph:b2")

    assert looks(watch, 0) == [0]
    passed_once_all_are_over(watch, 1, 1)


@only_on_postgresql
def test_events_behind_a_transaction_that_may_still_commit_wait_for_it() -> None:
    watch = GapWatch(max(make_events("graph:b1")), hold_s=60)
    written, may_commit = Signal(), Signal()

    def slow() -> None:
        try:
            with transaction.atomic():
                make_events("graph:slow")
                written.set()
                assert may_commit.wait(30)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        commit = threads.submit(slow)
        assert written.wait(30)
        make_events("graph:b2")
        assert looks(watch, 0, 1, 2, 30) == [0, 0, 0, 0]
        may_commit.set()
        commit.result(30)
    passed_once_all_are_over(watch, 31, 2)
