"""Takes the agents' heartbeats from their own queue and applies them many at a time.

A message for each, with a task and a transaction of its own, costs a thousand agents most of a core. So every control
worker reads the queue beside its tasks, collects for half a second, and applies what came in one transaction.

It also counts what Celery refused to read on the worker's other queues, all of half a second in one statement.

Invariant: heartbeats are taken off the queue as they come and may be lost in a crash; the next ones say the same.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import django.db
from celery import bootsteps
from django.utils import timezone
from kombu import Consumer
from kombu.exceptions import KombuError

from scheduler_project.toolkit.refused import tell
from workers.protocol import HEARTBEAT_QUEUE

logger = logging.getLogger(__name__)
COLLECT_S = 0.5
WAITING_MAX = 10_000


def apply_texts(texts: Sequence[str], now: datetime) -> None:
    """Applies heartbeats as they travelled; those that are not what they seem are counted and dropped."""
    from workers import store  # models are there only once Django is set up

    store.receive_heartbeats(texts, now)


def count_refused(count: int) -> None:
    """So many more messages that Celery refused to read."""
    from workers import store

    store.count_unreadable(count)


def text_of(message: Any, now: datetime) -> str | None:
    """The one argument that a message carries; None where it has expired, empty where it is not of this protocol."""
    try:
        expires = message.headers.get("expires")
        if expires and datetime.fromisoformat(expires).astimezone(UTC) <= now:
            return None
        (text,) = message.payload[0]
    except (KombuError, LookupError, TypeError, ValueError, AttributeError) as error:
        logger.warning("heartbeat.unreadable error=%r", error)
        return ""
    return text if isinstance(text, str) else ""


class Collector:
    """Collects messages and applies them from a thread of its own; when too many wait the oldest are dropped."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque(maxlen=WAITING_MAX)
        self._refused = 0  # written by the worker's thread alone, as the next by this one's
        self._counted = 0
        self._come = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Applies what has come, and ends."""
        self._over.set()
        self._come.set()
        self._thread.join()

    def add(self, message: Any) -> None:
        """Takes a message; returns at once."""
        self._waiting.append(message)
        self._come.set()

    def refuse(self, **_signal: Any) -> None:
        """Counts a message of another queue that Celery refused; returns at once."""
        self._refused += 1
        self._come.set()

    def _run(self) -> None:
        over = False
        while not over:
            self._come.wait()
            self._over.wait(COLLECT_S)
            self._come.clear()
            over = self._over.is_set()  # asked before the last look, so that what came before the end is seen by it
            self._apply()
        django.db.connections.close_all()

    def _apply(self) -> None:
        now = timezone.now()
        messages = [self._waiting.popleft() for _ in range(len(self._waiting))]
        texts = [text for message in messages if (text := text_of(message, now)) is not None]
        try:
            django.db.close_old_connections()
            apply_texts(texts, now)
            self._count_refused()
        except django.db.Error as error:
            logger.warning("heartbeats.not_applied count=%d error=%s", len(texts), error)

    def _count_refused(self) -> None:
        fresh = self._refused - self._counted
        if fresh:
            count_refused(fresh)
            self._counted += fresh


class HeartbeatStep(bootsteps.ConsumerStep):
    """Has a worker that consumes the control queue read the heartbeats too."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._queue = parent.app.amqp.queues.new_missing(HEARTBEAT_QUEUE)
        self._collector: Collector | None = None

    def get_consumers(self, channel: Any) -> list[Consumer]:
        collector = self._collector = Collector()
        collector.start()
        tell(collector.refuse)
        return [Consumer(channel, [self._queue], no_ack=True, on_message=collector.add, accept=["json"])]

    def stop(self, c: Any) -> None:
        super().stop(c)
        if self._collector is not None:
            self._collector.stop()
            self._collector = None

    shutdown = stop
