"""Tells an outside store of our graphs over NATS requests; of any number of bridges one does so at a time.

Invariant: nothing of the engine waits for the store. An answer with `_error`, and no answer, count as not taken.
"""

import json
import logging
import os
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone

from graphs.bridge import server
from graphs.bridge.messages import body
from graphs.models import Graph
from graphs.store import mirrors
from scheduler_project.toolkit import leases
from scheduler_project.toolkit.errors import Unavailable

log = logging.getLogger(__name__)

LEASE = "graph-mirror"
LEASE_TTL_S = 30.0
LOOK_EVERY_S = 0.5
ANSWER_WITHIN_S = 5.0
STOP_S = 15.0


class Asker(Protocol):
    """What the mirror needs of a link."""

    @property
    def connected(self) -> bool: ...

    def start(self) -> None: ...

    def request(self, subject: str, data: bytes, timeout_s: float) -> bytes: ...

    def stop(self) -> None: ...


def make_mirror(on_failure: Callable[[], None] = lambda: None) -> "Mirror":
    """The mirror on the server of `NATS_URI`; `on_failure` is called when it cannot go on."""
    return Mirror(server.link((), "scheduler-mirror", "scheduler-mirror"), on_failure=on_failure)


class Mirror:
    """One thread that tells the store what is new."""

    def __init__(
        self, link: Asker, clock: Callable[[], datetime] = timezone.now, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self._link = link
        self._clock = clock
        self._on_failure = on_failure
        self._holder = f"{os.uname().nodename}:{uuid.uuid4().hex[:8]}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="graphs-mirror", daemon=True)

    def start(self) -> None:
        """Works in the background; returns at once."""
        self._link.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends after the graph in hand; another bridge may go on at once."""
        self._stopping.set()
        self._thread.join(STOP_S)
        self._link.stop()

    def run(self) -> None:
        """Works until stopped. A fault of our own is logged and told to `on_failure`."""
        try:
            while not self._stopping.wait(LOOK_EVERY_S):
                self._tell_if_possible()
            leases.release(LEASE, self._holder, self._clock())
        except DatabaseError as error:
            log.warning("mirror.keeps its lease until it ends: %s", error)
        except Exception:
            log.exception("mirror.failed")
            self._on_failure()
        finally:
            connection.close()

    def _tell_if_possible(self) -> None:
        try:
            self.tell()
        except DatabaseError as error:
            log.warning("mirror.database_away reason=%s", error)
            connection.close()

    def tell(self) -> None:
        """Tells the store what it has not been told, where this bridge is the one that does."""
        if not self._link.connected:
            return
        for graph_id in mirrors.untold(self._clock()):
            if self._stopping.is_set() or leases.acquire(LEASE, self._holder, self._clock(), LEASE_TTL_S) is None:
                return
            self._tell_of(graph_id)

    def _tell_of(self, graph_id: str) -> None:
        try:
            news = mirrors.news_of(graph_id)
        except Graph.DoesNotExist:
            return
        for subject, document in news.requests:
            problem = self._problem(subject, document)
            if problem:
                log.warning("mirror.refused graph=%s subject=%s reason=%s", graph_id, subject, problem)
                mirrors.mark_refused(news, f"{subject}: {problem}", self._clock())
                return
        mirrors.mark_told(news)

    def _problem(self, subject: str, document: Any) -> str:
        """Why a request was not taken; empty when it was."""
        try:
            answer = self._link.request(subject, body(document), ANSWER_WITHIN_S)
        except Unavailable as error:
            return str(error)
        try:
            told = json.loads(answer) if answer else {}
        except ValueError:
            return ""
        return str(told.get("_error") or "") if isinstance(told, dict) else ""
