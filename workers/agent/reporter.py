"""Carries heartbeats and the journal's unreported reports to control, in a thread of its own.

Invariant: everything is signed anew each time that it is sent, and a report leaves the journal only on control's word.
A broker that is away is logged once and tried again with growing pauses; nothing else in the agent waits for it.
"""

import logging
import threading
import time
from collections.abc import Callable

import msgspec

from workers.agent.core.window import Window
from workers.agent.journal import Journal
from workers.agent.trust import Trust
from workers.protocol import ENROL_TASK, HEARTBEAT_TASK, REPORTS_TASK

log = logging.getLogger(__name__)

LINGER_S = 0.01
BATCH_REPORTS = 500
BATCH_BYTES = 1 << 20
RETRY_MIN_S, RETRY_MAX_S = 0.5, 5.0
REPORTS_EXPIRE_S = 60.0
ENROL_EXPIRES_S = 60.0
STOP_WAIT_S = 10.0

Publish = Callable[[str, str, float], None]


class Unpublished(Exception):
    """The broker did not take a message."""


class Reporter:
    """`publish(task, text, expires_s)` raises Unpublished; `heartbeat(stopping)` gives the text to send.

    `on_fatal` is called when the reporter cannot go on, as an agent that is never heard is worse than none.
    """

    def __init__(
        self,
        journal: Journal,
        publish: Publish,
        heartbeat: Callable[[bool], str],
        trust: Trust,
        host: str,
        session: str,
        heartbeat_interval_s: float,
        on_fatal: Callable[[], None],
    ) -> None:
        self._on_fatal = on_fatal
        self._journal = journal
        self._send = publish
        self._heartbeat = heartbeat
        self._trust = trust
        self._host = host
        self._session = session
        self._interval_s = heartbeat_interval_s
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._window = Window()
        self._beat_at = 0.0
        self._retry_at = 0.0
        self._failures = 0
        self._kept_waiting = False  # there are reports that came while others were on their way
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Says goodbye, and waits for that a bounded time."""
        self._stopping = True
        self._wake.set()
        self._thread.join(STOP_WAIT_S)

    def wake(self) -> None:
        """There is something to report."""
        self._wake.set()

    def greet(self) -> None:
        """Control has just come to know this agent, or has to."""
        self._beat_at = 0.0
        self._wake.set()

    def applied(self, session: str, seq: int) -> None:
        """Control's word on this session's reports; numbers of another session may be of another journal."""
        if session != self._session:
            return
        self._journal.applied(seq)
        with self._lock:
            self._window = self._window.applied(seq)
        self._kept_waiting = self._journal.newest_seq() > seq
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.wait(self._attempt(time.monotonic()))
                self._wake.clear()
            self._say_goodbye()
        except Exception:
            log.exception("reporter.failed host=%s", self._host)
            self._on_fatal()

    def _attempt(self, now: float) -> float:
        """Sends what is due. Returns how long to wait."""
        if now < self._retry_at:
            return self._retry_at - now
        try:
            self._send_due(now)
        except Unpublished as error:
            return self._failed(error, now)
        if self._failures:
            log.info("broker.back host=%s failures=%d", self._host, self._failures)
            self._failures = 0
        due_at = self._due_at(now)
        return max(0.0, min(self._beat_at, self._beat_at if due_at is None else due_at) - time.monotonic())

    def _send_due(self, now: float) -> None:
        if now >= self._beat_at:
            self._beat_at = now + self._interval_s
            self._beat()
        due_at = self._due_at(now)
        if due_at is not None and due_at <= now:
            if not self._kept_waiting:
                time.sleep(LINGER_S)
            self._send_reports(now)

    def _due_at(self, now: float) -> float | None:
        """When reports are due; never while control has not accepted the agent."""
        return self._window.due_at(self._journal.newest_seq(), now) if self._trust.enrolled else None

    def _beat(self) -> None:
        if self._trust.enrolled:
            self._publish(HEARTBEAT_TASK, self._heartbeat(False), max(10 * self._interval_s, 10))
        else:
            self._send(ENROL_TASK, self._trust.request(), ENROL_EXPIRES_S)

    def _publish(self, task: str, body: str, expires_s: float) -> None:
        self._send(task, self._trust.sign(task, body, expires_s), expires_s)

    def _send_reports(self, now: float) -> None:
        reports = self._journal.unreported(BATCH_REPORTS, BATCH_BYTES)
        if not reports:
            return
        text = envelope(self._host, self._session, reports, time.time())
        last = reports[-1][0]
        self._kept_waiting = False
        with self._lock:
            self._window = self._window.sent(last, now)
        self._publish(REPORTS_TASK, text, REPORTS_EXPIRE_S)

    def _failed(self, error: Unpublished, now: float) -> float:
        if self._failures == 0:
            log.warning("broker.away host=%s reason=%s", self._host, error)
        pause_s = min(RETRY_MAX_S, RETRY_MIN_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._retry_at = now + pause_s
        with self._lock:
            self._window = Window()
        return pause_s

    def _say_goodbye(self) -> None:
        if not self._trust.enrolled:
            return
        try:
            self._send_reports(time.monotonic())
            self._publish(HEARTBEAT_TASK, self._heartbeat(True), max(10 * self._interval_s, 10))
        except Unpublished as error:
            log.warning("broker.away host=%s reason=%s", self._host, error)


def envelope(host: str, session: str, reports: list[tuple[int, bytes]], sent_at: float) -> str:
    """The text of `protocol.Reports` from reports that are encoded already."""
    numbered = [[seq, msgspec.Raw(payload)] for seq, payload in reports]
    return msgspec.json.encode({"host": host, "session": session, "sent_at": sent_at, "reports": numbered}).decode()
