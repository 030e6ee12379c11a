"""Messages on their way from a caller's thread to the thread of a connection, which sends all there is in one go."""

import threading
from collections import deque
from collections.abc import Callable, Iterable

from workers.links.backlog import Message


class Outbox:
    """Any number of threads put messages in, one takes them. `call` has something done in the thread that takes."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._messages: deque[Message] = deque()
        self._lock = threading.Lock()
        self._is_called = False

    def put(self, messages: Iterable[Message]) -> None:
        """Adds messages that need not go before the next that are sent."""
        self._messages.extend(messages)

    def send(self) -> None:
        """Has all that is in here taken soon."""
        with self._lock:
            if self._is_called or not self._messages:
                return
            self._is_called = True
        self._call()

    def take(self) -> list[Message]:
        """All messages in the order in which they were put in."""
        with self._lock:
            self._is_called = False
        return [self._messages.popleft() for _ in range(len(self._messages))]
