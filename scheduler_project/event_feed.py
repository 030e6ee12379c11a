"""One reader of the event log per process, handing new events to any number of listeners.

Invariant: a listener gets every event after the point where it joined, in order of id and once; a listener that falls
behind by more than its queue holds is dropped, so that it costs bounded memory and can come back by the last id it saw.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from scheduler_project.models import Event
from scheduler_project.toolkit.events import GapWatch, Writers, settled_position, writers

logger = logging.getLogger(__name__)

READ_LIMIT = 1000
QUEUE_LIMIT = 5000
RETRY_AFTER_S = 2.0
Result = TypeVar("Result")


@dataclass(frozen=True)
class Item:
    """An event ready to be sent: its place in the log, what it is about, and its JSON."""

    id: int
    subject: str
    body: str


class EventLog(Protocol):
    """Where events are read from. All methods block, and may raise Django's DatabaseError."""

    def settled_position(self) -> int: ...

    def writers(self) -> Writers | None: ...

    def after(self, position: int, subject: str, limit: int) -> list[Item]: ...


class DatabaseEventLog:
    """The event log in the database."""

    def settled_position(self) -> int:
        close_old_connections()
        return settled_position(timezone.now())

    def writers(self) -> Writers | None:
        close_old_connections()
        return writers()

    def after(self, position: int, subject: str, limit: int) -> list[Item]:
        """The next events after the position whose subject starts with `subject`, in order of id."""
        close_old_connections()
        events = Event.objects.filter(id__gt=position, subject__startswith=subject).order_by("id")
        return [item_of(event) for event in events[:limit]]


def item_of(event: Event) -> Item:
    """The event as clients see it."""
    body = {
        "id": event.id,
        "at": event.at.isoformat(),
        "name": event.name,
        "subject": event.subject,
        "level": event.level,
        "message": event.message,
        "data": event.data,
        "actor": event.actor,
    }
    return Item(event.id, event.subject, json.dumps(body, separators=(",", ":")))


class Listener:
    """One client's place in the feed: a bounded queue of items, ended by `None`."""

    def __init__(self, subject: str, limit: int) -> None:
        self.subject = subject
        self.ended = False
        self._queue: asyncio.Queue[Item | None] = asyncio.Queue(limit)

    def offer(self, item: Item) -> None:
        """Queues the item; a listener whose queue is full is ended instead."""
        if self.ended or not item.subject.startswith(self.subject):
            return
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self.end()

    def end(self) -> None:
        """Makes `items` return nothing more, whatever was still queued."""
        self.ended = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def items(self, timeout_s: float) -> list[Item]:
        """All that is queued, waiting up to `timeout_s` for the first; empty on a timeout and at the end."""
        try:
            first = await asyncio.wait_for(self._queue.get(), timeout_s)
        except TimeoutError:
            return []
        found = [first]
        while not self._queue.empty():
            found.append(self._queue.get_nowait())
        return [item for item in found if item is not None]


class EventFeed:
    """Follows the log while anybody listens. Belongs to one event loop; all methods are called in it."""

    def __init__(self, log: EventLog, poll_s: float, queue_limit: int = QUEUE_LIMIT) -> None:
        self.closed = False
        self._log = log
        self._poll_s = poll_s
        self._queue_limit = queue_limit
        self._watch = GapWatch(0)
        self._listeners: set[Listener] = set()
        self._users = 0
        self._starting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")

    @property
    def position(self) -> int:
        """The id of the last event that was handed out."""
        return self._watch.position

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Keeps the feed running, so that `position` is kept up to date."""
        self._users += 1
        try:
            async with self._starting:
                if self._task is None:
                    self._watch = GapWatch(await self._in_thread(self._log.settled_position))
                    self._task = asyncio.create_task(self._follow())
            yield
        finally:
            self._users -= 1
            if self._users == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    @contextmanager
    def listening(self, subject: str) -> Iterator[Listener]:
        """A listener that gets every event after `position` as it is now."""
        listener = Listener(subject, self._queue_limit)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def read(self, position: int, subject: str) -> tuple[list[Item], int]:
        """Some events between a position and the feed's own, from the log, and the position that they lead to."""
        up_to = self.position
        found = await self._in_thread(self._log.after, position, subject, READ_LIMIT)
        more = len(found) == READ_LIMIT and found[-1].id < up_to
        return [item for item in found if item.id <= up_to], found[-1].id if more else up_to

    def close(self) -> None:
        """Ends every listener, for good."""
        self.closed = True
        for listener in self._listeners:
            listener.end()
        self._thread.shutdown(wait=False)

    async def _in_thread(self, call: Callable[..., Result], *args: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    async def _follow(self) -> None:
        while not self.closed:
            try:
                known = await self._in_thread(self._log.writers) if self._watch.waits else None
                found = await self._in_thread(self._log.after, self.position, "", READ_LIMIT)
            except DatabaseError as error:
                logger.warning("events.unreadable error=%s", error)
                await asyncio.sleep(RETRY_AFTER_S)
                continue
            count = self._watch.passed([item.id for item in found], time.monotonic(), known)
            for item in found[:count]:
                for listener in self._listeners:
                    listener.offer(item)
            if count < READ_LIMIT:
                await asyncio.sleep(self._poll_s)


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, EventFeed] = WeakKeyDictionary()


def feed_of_this_loop() -> EventFeed:
    """The one feed of the running event loop, reading the database."""
    loop = asyncio.get_running_loop()
    if loop not in _feeds:
        _feeds[loop] = EventFeed(DatabaseEventLog(), settings.EVENT_POLL_INTERVAL_S)
    return _feeds[loop]
