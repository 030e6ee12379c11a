"""The feed hands every event after a point to each listener, in order and once, and drops who falls behind."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from django.db import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from scheduler_project import event_feed
from scheduler_project.event_feed import EventFeed, Item
from scheduler_project.sse import HEARTBEAT, HELLO, stream
from scheduler_project.toolkit.events import GapWatch, Writers

HEARTBEAT_S = 5.0


class ListLog:
    """An event log in memory."""

    def __init__(self, *ids: int, settled: int | None = None) -> None:
        self.items: list[Item] = []
        self.settled = settled
        self.failures = 0
        self.add(*ids)

    def add(self, *ids: int, subject: str = "graph:b1") -> None:
        self.items = sorted([*self.items, *(Item(one, subject, f'{{"id":{one}}}') for one in ids)], key=lambda i: i.id)

    def settled_position(self) -> int:
        return self.settled if self.settled is not None else max((item.id for item in self.items), default=0)

    def writers(self) -> Writers | None:
        return None

    def after(self, position: int, subject: str, limit: int) -> list[Item]:
        if self.failures:
            self.failures -= 1
            raise DatabaseError("the server went away")
        found = [item for item in self.items if item.id > position and item.subject.startswith(subject)]
        return found[:limit]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 10))


def ids_in(parts: list[bytes]) -> list[int]:
    lines = b"".join(parts).decode().splitlines()
    return [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]


async def read_stream(feed: EventFeed, position: int | None, subject: str, count: int) -> list[int]:
    """The first `count` ids of a client's stream."""
    parts: list[bytes] = []
    async for part in stream(feed, position, subject, HEARTBEAT_S):
        parts.append(part)
        if len(ids_in(parts)) >= count:
            break
    return ids_in(parts)


def test_a_client_gets_what_the_log_holds_after_its_id_and_then_what_comes() -> None:
    async def scenario() -> list[int]:
        log = ListLog(1, 2, 3)
        feed = EventFeed(log, poll_s=0.01)
        reading = asyncio.create_task(read_stream(feed, 1, "", 4))
        while feed.position < 3:
            await asyncio.sleep(0)
        log.add(4, 5)
        return await reading

    assert run(scenario()) == [2, 3, 4, 5]


def test_a_client_without_an_id_starts_with_the_present() -> None:
    async def scenario() -> list[int]:
        log = ListLog(1, 2)
        feed = EventFeed(log, poll_s=0.01)
        reading = asyncio.create_task(read_stream(feed, None, "", 1))
        while feed.position < 2:
            await asyncio.sleep(0)
        log.add(3)
        return await reading

    assert run(scenario()) == [3]


def test_a_long_history_is_read_in_parts_without_losing_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "READ_LIMIT", 3)

    assert run(read_stream(EventFeed(ListLog(*range(1, 11)), poll_s=0.01), 0, "", 10)) == list(range(1, 11))


def test_a_subject_keeps_all_other_events_away() -> None:
    log = ListLog(1, 4)
    log.add(2, 3, subject="worker:host-a")

    assert run(read_stream(EventFeed(log, poll_s=0.01), 0, "worker:", 2)) == [2, 3]


def test_a_quiet_stream_says_that_it_is_alive() -> None:
    async def scenario() -> list[bytes]:
        parts: list[bytes] = []
        async for part in stream(EventFeed(ListLog(), poll_s=0.01), None, "", heartbeat_s=0.01):
            parts.append(part)
            if len(parts) == 2:
                break
        return parts

    assert run(scenario()) == [HELLO, HEARTBEAT]


def test_a_listener_that_falls_behind_is_ended_and_others_are_not() -> None:
    async def scenario() -> tuple[bool, list[int]]:
        log = ListLog()
        feed = EventFeed(log, poll_s=0.01, queue_limit=2)
        async with feed.following():
            with feed.listening("") as slow, feed.listening("graph:other") as other:
                log.add(1, 2, 3)
                while not slow.ended:
                    await asyncio.sleep(0)
                return other.ended, [item.id for item in await slow.items(0.01)]

    assert run(scenario()) == (False, [])


def test_closing_the_feed_ends_open_streams_at_once() -> None:
    async def scenario() -> None:
        feed = EventFeed(ListLog(), poll_s=0.01)
        reading = asyncio.create_task(read_stream(feed, None, "", 1))
        while not feed._listeners:
            await asyncio.sleep(0)
        feed.close()
        await reading

    run(scenario())


def test_a_stream_ends_after_its_time_so_that_its_login_is_asked_again() -> None:
    async def scenario() -> list[bytes]:
        feed = EventFeed(ListLog(), poll_s=0.01)
        return [part async for part in stream(feed, None, "", heartbeat_s=0.01, lasts_s=0.0)]

    assert run(scenario()) == [HELLO]


def test_the_feed_goes_on_after_the_database_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "RETRY_AFTER_S", 0.01)

    async def scenario() -> list[int]:
        log = ListLog()
        feed = EventFeed(log, poll_s=0.01)
        reading = asyncio.create_task(read_stream(feed, None, "", 1))
        while not feed._listeners:
            await asyncio.sleep(0)
        log.failures = 2
        log.add(1)
        return await reading

    assert run(scenario()) == [1]


def test_nothing_is_read_while_nobody_listens() -> None:
    async def scenario() -> bool:
        feed = EventFeed(ListLog(1), poll_s=0.01)
        async with feed.following():
            pass
        return feed._task is None

    assert run(scenario())


def test_ids_next_to_each_other_pass_at_once() -> None:
    assert GapWatch(4).passed([5, 6, 7], now_s=0) == 3


def test_an_id_behind_a_fresh_gap_waits() -> None:
    watch = GapWatch(4, hold_s=2)

    assert watch.passed([5, 7], now_s=0) == 1
    assert watch.position == 5


def test_a_gap_that_fills_lets_all_pass_in_order() -> None:
    watch = GapWatch(4, hold_s=2)
    watch.passed([6, 7], now_s=0)

    assert watch.passed([5, 6, 7], now_s=1) == 3


def test_a_gap_that_stays_is_given_up_after_the_hold() -> None:
    watch = GapWatch(4, hold_s=2)
    watch.passed([6, 9], now_s=0)

    assert watch.passed([6, 9], now_s=2) == 2


@given(st.sets(st.integers(1, 60)), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_whatever_the_gaps_every_visible_id_passes_once_and_in_order(ids: set[int], steps_s: list[int]) -> None:
    watch, passed, now_s = GapWatch(0, hold_s=2), [], 0
    for step_s in [*steps_s, 2, 2]:
        now_s += step_s
        waiting = sorted(one for one in ids if one > watch.position)
        passed += waiting[: watch.passed(waiting, now_s)]

    assert passed == sorted(ids)


def test_a_gap_is_given_up_as_soon_as_all_are_over_that_wrote_when_it_was_seen() -> None:
    watch = GapWatch(4, hold_s=60)
    assert watch.passed([6], 0) == 0
    assert watch.passed([6], 1, Writers(oldest=10, next=12)) == 0
    assert watch.passed([6], 2, Writers(oldest=11, next=30)) == 0
    assert watch.passed([6], 3, Writers(oldest=12, next=40)) == 1


def test_where_nobody_writes_a_gap_is_given_up_at_the_second_look() -> None:
    watch = GapWatch(4, hold_s=60)
    assert watch.passed([6], 0, Writers(oldest=12, next=12)) == 0
    assert watch.passed([6], 1, Writers(oldest=12, next=12)) == 1


@given(st.lists(st.sampled_from(["begin", "commit", "roll back", "look"]), max_size=60), st.randoms())
def test_whoever_commits_when_nothing_is_passed_over_that_comes_later(steps: list[str], random: Any) -> None:
    watch, passed, now_s = GapWatch(0, hold_s=10**6), [], 0.0
    number, running, visible = 1, dict[int, int](), list[int]()

    def look() -> None:
        known = Writers(min(running, default=number), number)
        waiting = sorted(one for one in visible if one > watch.position)
        passed.extend(waiting[: watch.passed(waiting, now_s, known)])

    for step in [*steps, *["commit"] * 60, "look", "look"]:
        now_s += 1
        if step == "begin":
            running[number] = number
            number += 1
        elif step == "look":
            look()
        elif running:
            over = random.choice(sorted(running))
            event = running.pop(over)
            if step == "commit":
                visible.append(event)
    assert passed == sorted(visible)
