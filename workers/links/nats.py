"""The link to NATS: an asyncio client in a thread of its own, for callers that are not asynchronous.

It reconnects for ever. Messages wait in a bounded queue until the caller takes them; while the queue is full the client
stops reading, and what then overflows the client's own buffer is logged, never dropped in silence.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any, Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from scheduler_project.toolkit.errors import Unavailable

log = logging.getLogger(__name__)

BACKLOG_MESSAGES = 50_000
CLIENT_PENDING_MESSAGES = 500_000
CLIENT_PENDING_BYTES = 512 * 1024 * 1024
RECONNECT_WAIT_S = 0.5
FULL_WAIT_S = 0.01
DEFAULT_MAX_PAYLOAD = 1024 * 1024


@dataclass(frozen=True)
class Message:
    """One NATS message. `reply` is the subject on which its sender awaits an answer, empty for none."""

    subject: str
    data: bytes
    reply: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Link(Protocol):
    """What the callers of this module use; `graphs.testing` has a twin in memory under the same tests."""

    @property
    def connected(self) -> bool: ...

    @property
    def max_payload(self) -> int: ...

    def start(self) -> None: ...

    def take(self, limit: int, timeout_s: float) -> list[Message]: ...

    def wake(self) -> None: ...

    def publish(self, messages: Sequence[Message]) -> None: ...

    def stop_receiving(self) -> None: ...

    def stop(self) -> None: ...


class Backlog:
    """Messages between the thread that receives them and the one that takes them; bounded."""

    def __init__(self, size: int = BACKLOG_MESSAGES) -> None:
        self._queue: queue.Queue[Message | None] = queue.Queue(size)

    def offer(self, message: Message) -> bool:
        """Whether there was room for the message."""
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            return False
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
        return [message for message in found if message is not None]


class NatsLink:
    """A connection that receives `subscriptions` as a member of the queue group `group`, and publishes."""

    def __init__(self, uri: str, subscriptions: Sequence[str], group: str, name: str) -> None:
        self._uri = uri
        self._subscriptions = tuple(subscriptions)
        self._group = group
        self._name = name
        self._backlog = Backlog()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._client = Client()
        self._receiving: list[Subscription] = []
        self._ready = threading.Event()

    @property
    def connected(self) -> bool:
        """Whether the server is reached now and the subscriptions stand."""
        return self._ready.is_set() and self._client.is_connected

    @property
    def max_payload(self) -> int:
        """The largest body in bytes that the server takes."""
        return int(self._client.max_payload or DEFAULT_MAX_PAYLOAD)

    def start(self) -> None:
        """Begins to connect; returns at once."""
        self._thread.start()

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        """See `Backlog.take`."""
        return self._backlog.take(limit, timeout_s)

    def wake(self) -> None:
        """See `Backlog.wake`."""
        self._backlog.wake()

    def publish(self, messages: Sequence[Message], timeout_s: float = 10) -> None:
        """Returns when the server has all messages. Raises Unavailable when that is not known."""
        if not self.connected:
            raise Unavailable("NATS is not reached now; nothing was sent")
        if not messages:
            return
        done = asyncio.run_coroutine_threadsafe(self._publish(messages, timeout_s), self._loop)
        try:
            done.result(timeout_s + 1)
        except (NatsError, OSError, TimeoutError, FutureTimeout) as error:
            done.cancel()
            raise Unavailable(f"NATS did not confirm {len(messages)} messages: {error!r}") from error

    def stop_receiving(self) -> None:
        """Leaves the queue group; what was received already can still be taken."""
        if self._thread.is_alive() and self.connected:
            self._wait_for(self._leave_group())

    def stop(self) -> None:
        """Closes the connection and ends the thread."""
        if not self._thread.is_alive():
            return
        self._wait_for(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    def wait_connected(self, timeout_s: float) -> None:
        """Raises Unavailable when the server is not reached within the time."""
        deadline = time.monotonic() + timeout_s
        while not self.connected:
            if not self._ready.wait(0.05) and time.monotonic() > deadline:
                raise Unavailable(f"NATS at {self._uri} is not reached within {timeout_s} s")

    def _wait_for(self, work: Any) -> None:
        try:
            asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
        except (NatsError, OSError, TimeoutError, FutureTimeout) as error:
            log.warning("nats.unclean_stop name=%s reason=%r", self._name, error)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        connections = self._loop.create_task(self._stay_connected())
        try:
            self._loop.run_forever()
        finally:
            connections.cancel()
            self._loop.run_until_complete(asyncio.gather(connections, return_exceptions=True))
            self._loop.close()

    async def _stay_connected(self) -> None:
        """A client reconnects by itself; where a server's refusal has closed it for good, a new one takes its place."""
        while True:
            closed = asyncio.Event()
            try:
                await self._connect(closed)
                await closed.wait()
            except (NatsError, OSError) as error:
                log.warning("nats.unusable name=%s reason=%r", self._name, error)
            finally:
                self._ready.clear()
            await asyncio.sleep(RECONNECT_WAIT_S)

    async def _connect(self, closed: asyncio.Event) -> None:
        async def on_closed() -> None:
            closed.set()

        self._client = Client()
        await self._client.connect(
            self._uri,
            name=self._name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # it is only slept for
            error_cb=self._on_error,
            closed_cb=on_closed,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
        )
        self._receiving = [
            await self._client.subscribe(
                subject,
                queue=self._group,
                cb=self._receive,
                pending_msgs_limit=CLIENT_PENDING_MESSAGES,
                pending_bytes_limit=CLIENT_PENDING_BYTES,
            )
            for subject in self._subscriptions
        ]
        await self._client.flush()
        self._ready.set()
        log.info("nats.connected name=%s", self._name)

    async def _receive(self, received: Msg) -> None:
        message = Message(received.subject, received.data, received.reply, dict(received.headers or {}))
        while not self._backlog.offer(message):
            await asyncio.sleep(FULL_WAIT_S)

    async def _publish(self, messages: Sequence[Message], timeout_s: float) -> None:
        for message in messages:
            headers = dict(message.headers) or None
            await self._client.publish(message.subject, message.data, reply=message.reply, headers=headers)
        await self._client.flush(timeout=max(1, int(timeout_s)))

    async def _leave_group(self) -> None:
        for subscription in self._receiving:
            await subscription.drain()

    async def _on_error(self, error: Exception) -> None:
        log.warning("nats.error name=%s reason=%r", self._name, error)

    async def _on_disconnected(self) -> None:
        log.warning("nats.disconnected name=%s", self._name)

    async def _on_reconnected(self) -> None:
        log.info("nats.reconnected name=%s", self._name)
