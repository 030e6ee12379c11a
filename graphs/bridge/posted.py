"""What was sent and not answered yet: it is marked as sent once the server is known to have it.

A reply makes the mark needless, so it is waited for a moment, and for longer where more replies wait than we can take:
most components are never marked.
"""

import time
from collections.abc import Iterable, Sequence

from graphs.core.advance import PROGRESS
from graphs.core.replies import Reply
from graphs.providers.base import Send

MARK_WITHIN_S = 0.02
MARK_AT_LATEST_S = 5.0
UNMARKED_MAX = 20_000


class Posted:
    """Components that went out by one connection to NATS.

    What went by an earlier one and was not marked is dropped: the sweep finds it.
    """

    def __init__(self) -> None:
        self.connection = 0
        self._sends: list[Send] = []
        self._since_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._sends)

    def add(self, sends: Sequence[Send], connection: int) -> None:
        """These went out just now."""
        if connection != self.connection:
            self._sends, self.connection = [], connection
        if not self._sends:
            self._since_s = time.monotonic()
        self._sends += sends

    def forget_answered(self, replies: Iterable[Reply]) -> None:
        """What a reply has settled needs no mark."""
        told = {
            (reply.graph_id, reply.report.component_id, reply.report.attempt)
            for reply in replies
            if reply.report.outcome != PROGRESS
        }
        self._sends = [
            send
            for send in self._sends
            if (send.graph_id, send.component_id, None) not in told
            and (send.graph_id, send.component_id, send.attempt) not in told
        ]

    @property
    def is_due(self) -> bool:
        """Whether it goes unmarked for too long, as replies to other things keep coming."""
        late = bool(self._sends) and time.monotonic() - self._since_s > MARK_AT_LATEST_S
        return late or len(self._sends) >= UNMARKED_MAX

    @property
    def sends(self) -> Sequence[Send]:
        """All of it, to be marked."""
        return self._sends

    def clear(self) -> None:
        """It is marked, or is left to the sweep."""
        self._sends = []
