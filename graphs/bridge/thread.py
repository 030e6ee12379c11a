"""A thread that takes what a link receives and works on it, until it is told to stop.

Invariant: it never ends in silence. A fault of our own is logged and told to `on_failure`, which ends the worker: one
whose thread is gone would look as if it worked.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from django.db import connection

from workers.links.backlog import Message
from workers.links.nats import Link

log = logging.getLogger(__name__)

IDLE_S = 1.0
STOP_S = 10.0


class LinkThread(ABC):
    """Base of what works on messages. `name` is the thread's, `batch` how many messages it takes at most at once."""

    name: str
    batch: int

    def __init__(self, link: Link, on_failure: Callable[[], None] = lambda: None) -> None:
        self._link = link
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name=self.name, daemon=True)

    @abstractmethod
    def handle(self, messages: Sequence[Message]) -> None:
        """Works on what came; on nothing, where nothing came for `patience_s`."""

    @property
    def connected(self) -> bool:
        """Whether NATS is reached now."""
        return self._link.connected

    @property
    def patience_s(self) -> float:
        """How long the next message is waited for."""
        return IDLE_S

    def start(self) -> None:
        """Connects and works in the background; returns at once."""
        self._link.start()
        self._thread.start()

    def stop(self) -> None:
        """Leaves the queue group, finishes what was received, and closes the link."""
        self._link.stop_receiving()
        self._stopping.set()
        self._link.wake()
        self._thread.join(STOP_S)
        self._link.stop()

    def run(self) -> None:
        """Works until stopped and nothing received is left."""
        try:
            while (messages := self._link.take(self.batch, self.patience_s)) or not self._stopping.is_set():
                self.work(messages)
            self.finish()
        except Exception:
            log.exception("bridge.failed thread=%s", self.name)
            self._on_failure()
        finally:
            connection.close()

    def work(self, messages: Sequence[Message]) -> None:
        """One turn."""
        self.handle(messages)

    def finish(self) -> None:  # noqa: B027  (most have nothing left to do)
        """The last thing before the end."""
