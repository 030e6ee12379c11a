"""Messages between the thread that receives them and the one that takes them; bounded in number and bytes."""

import queue
import threading
from collections.abc import Mapping

from msgspec import Struct, field

BACKLOG_MESSAGES = 50_000
BACKLOG_BYTES = 256 * 1024 * 1024


class Message(Struct, frozen=True):
    """One NATS message. `reply` is the subject on which its sender awaits an answer, empty for none.

    `token` is what tells the server that the message is settled; empty where the server keeps nothing. `identity` is
    the same for every delivery of one message that the server keeps.
    """

    subject: str
    data: bytes
    reply: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    identity: str = ""


class Backlog:
    """A queue with one thread that offers and one that takes."""

    def __init__(self, size: int = BACKLOG_MESSAGES, size_bytes: int = BACKLOG_BYTES) -> None:
        self._size, self._size_bytes = size, size_bytes
        self._queue: queue.Queue[Message | None] = queue.Queue()
        self._lock = threading.Lock()
        self._held = 0
        self._held_bytes = 0

    @property
    def room(self) -> int:
        """How many more messages are taken; 0 where their bytes are too many."""
        return max(0, self._size - self._held) if self._held_bytes < self._size_bytes else 0

    def offer(self, message: Message) -> bool:
        """Whether there was room for the message."""
        if not self.room:
            return False
        self._count(1, len(message.data))
        self._queue.put(message)
        return True

    def wake(self) -> None:
        """Lets a waiting `take` return now; one that finds messages returns anyway."""
        if self._queue.empty():
            self._queue.put(None)

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to `limit` messages in the order they came; none when woken or when the time is over."""
        found: list[Message | None] = []
        try:
            found.append(self._queue.get(timeout=timeout_s))
            while len(found) < limit:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        messages = [message for message in found if message is not None]
        self._count(-len(messages), -sum(len(message.data) for message in messages))
        return messages

    def _count(self, messages: int, size_bytes: int) -> None:
        with self._lock:
            self._held += messages
            self._held_bytes += size_bytes
