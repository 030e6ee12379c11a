"""The link to NATS: an asyncio client in a thread of its own, for callers that are not asynchronous.

It reconnects for ever. Where a `Capture` is wanted and the server has JetStream, captured messages stay on the server
until the caller has settled them, and are asked for as there is room. All others wait in a bounded queue until the
caller takes them; while it is full they pile up in the client's own buffer, and what overflows that is logged, never
dropped in silence. What is sent is confirmed only where it is asked for, since that costs a round trip.
"""

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from scheduler_project.toolkit.errors import Unavailable
from workers.links import jetstream
from workers.links.backlog import BACKLOG_MESSAGES, Backlog, Message
from workers.links.jetstream import Capture, Feed
from workers.links.outbox import Outbox

log = logging.getLogger(__name__)

CLIENT_PENDING_MESSAGES = 500_000
CLIENT_PENDING_BYTES = 512 * 1024 * 1024
RECONNECT_WAIT_S = 0.5
FULL_WAIT_S = 0.01
FLUSH_S = 2
CLOSE_S = 5
DEFAULT_MAX_PAYLOAD = 1024 * 1024
LOOK_FOR_JETSTREAM_S = 30.0
CORE, JETSTREAM = "core", "jetstream"


class Link(Protocol):
    """What the callers of this module use; `graphs.testing` has a twin in memory under the same tests."""

    @property
    def connected(self) -> bool: ...

    @property
    def max_payload(self) -> int: ...

    @property
    def mode(self) -> str: ...

    def start(self) -> None: ...

    def take(self, limit: int, timeout_s: float) -> list[Message]: ...

    def wake(self) -> None: ...

    def settled(self, messages: Sequence[Message]) -> None: ...

    def post(self, messages: Sequence[Message]) -> int: ...

    def confirm(self, connection: int) -> bool: ...

    def publish(self, messages: Sequence[Message]) -> None: ...

    def stop_receiving(self) -> None: ...

    def stop(self) -> None: ...


class NatsLink:
    """A connection that receives `subscriptions` as a member of the queue group `group`, and publishes.

    `tls` is used where the server asks for TLS, None for the system's authorities and no certificate of one's own.
    With a `capture` its subjects come from JetStream where the server has it, and plainly where it has not.
    """

    def __init__(
        self,
        uri: str,
        subscriptions: Sequence[str],
        group: str,
        name: str,
        capture: Capture | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._uri = uri
        self._tls = tls
        self._subscriptions = tuple(subscriptions)
        self._group = group
        self._name = name
        self._capture = capture
        self._backlog = Backlog(BACKLOG_MESSAGES if capture is None else jetstream.HELD_MESSAGES)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._client = Client()
        self._receiving: list[Subscription] = []
        self._feed: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._outbox = Outbox(lambda: self._loop.call_soon_threadsafe(self._begin_sending))
        self._sending: set[asyncio.Task[None]] = set()
        self._connections = 0

    @property
    def connected(self) -> bool:
        """Whether the server is reached now and the subscriptions stand."""
        return self._ready.is_set() and self._client.is_connected

    @property
    def max_payload(self) -> int:
        """The largest body in bytes that the server takes."""
        return int(self._client.max_payload or DEFAULT_MAX_PAYLOAD)

    @property
    def mode(self) -> str:
        """`jetstream` while captured messages come from a stream, else `core`."""
        return CORE if self._feed is None else JETSTREAM

    def start(self) -> None:
        """Begins to connect; returns at once."""
        self._thread.start()

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        """See `Backlog.take`."""
        if self._thread.is_alive():
            self._outbox.send()
        return self._backlog.take(limit, timeout_s)

    def wake(self) -> None:
        """See `Backlog.wake`."""
        self._backlog.wake()

    def settled(self, messages: Sequence[Message]) -> None:
        """Lets the server forget these messages, with what is posted next or when `take` is called.

        What does not reach it is delivered once more, later.
        """
        self._outbox.put(Message(message.token, jetstream.ACK) for message in messages if message.token)

    def post(self, messages: Sequence[Message]) -> int:
        """Sends messages and does not wait. Returns the number of the connection that they go by, for `confirm`.

        Raises Unavailable where there is none.
        """
        connection = self._connections
        if not self.connected:
            raise Unavailable("NATS is not reached now; nothing was sent")
        self._outbox.put(messages)
        self._outbox.send()
        return connection

    def confirm(self, connection: int, timeout_s: float = 10) -> bool:
        """Whether the server has all that was posted by this connection. A lost connection is not known to have."""
        if not self.connected or connection != self._connections:
            return False
        asked = asyncio.run_coroutine_threadsafe(self._confirm(timeout_s), self._loop)
        try:
            asked.result(timeout_s + 1)
        except (NatsError, OSError, TimeoutError, FutureTimeout) as error:
            asked.cancel()
            log.warning("nats.not_confirmed name=%s reason=%r", self._name, error)
            return False
        return connection == self._connections

    def publish(self, messages: Sequence[Message], timeout_s: float = 10) -> None:
        """Returns when the server has all messages. Raises Unavailable when that is not known."""
        connection = self.post(messages)
        if messages and not self.confirm(connection, timeout_s):
            raise Unavailable(f"NATS did not confirm {len(messages)} messages")

    def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """The answer to a request. Raises Unavailable where there is none in time."""
        if not self.connected:
            raise Unavailable("NATS is not reached now; nothing was asked")
        asked = asyncio.run_coroutine_threadsafe(self._client.request(subject, data, timeout=timeout_s), self._loop)
        try:
            return asked.result(timeout_s + 1).data
        except (NatsError, OSError, TimeoutError, FutureTimeout) as error:
            asked.cancel()
            raise Unavailable(f"nobody answered on {subject} within {timeout_s:g} s: {error!r}") from error

    def stop_receiving(self) -> None:
        """Leaves the queue group; what was received already can still be taken."""
        if self._thread.is_alive() and self.connected:
            self._wait_for(self._leave_group())

    def stop(self) -> None:
        """Closes the connection and ends the thread."""
        if not self._thread.is_alive():
            return
        self._wait_for(self._close())
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
            self._over = asyncio.Event()
            try:
                await self._connect(self._over)
                await self._until(self._over)
            except (NatsError, OSError) as error:
                log.warning("nats.unusable name=%s reason=%r", self._name, error)
            self._ready.clear()
            await self._abandon()
            await asyncio.sleep(RECONNECT_WAIT_S)

    async def _abandon(self) -> None:
        """Leaves nothing of a connection that is given up."""
        await self._close_feed()
        with suppress(NatsError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._client.close()

    async def _connect(self, over: asyncio.Event) -> None:
        async def on_closed() -> None:
            over.set()

        self._client = Client()
        self._connections += 1
        await self._client.connect(
            self._uri,
            name=self._name,
            tls=self._tls,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # it is only slept for
            error_cb=self._on_error,
            closed_cb=on_closed,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
        )
        captured = await self._open_feed()
        for subject in self._subscriptions:
            if subject not in captured:
                await self._subscribe(subject, self._receive)
            elif self._capture and subject in self._capture.answered:
                await self._subscribe(subject, self._receive_request)
        await self._client.flush()
        self._ready.set()
        log.info("nats.connected name=%s mode=%s", self._name, self.mode)

    async def _subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        subscription = await self._client.subscribe(
            subject,
            queue=self._group,
            cb=callback,
            pending_msgs_limit=CLIENT_PENDING_MESSAGES,
            pending_bytes_limit=CLIENT_PENDING_BYTES,
        )
        self._receiving.append(subscription)

    async def _open_feed(self) -> frozenset[str]:
        """Begins to pull captured messages where the server has JetStream. Returns the subjects that it captures."""
        await self._close_feed()
        self._receiving = []
        if self._capture is None or not await jetstream.is_available(self._client):
            return frozenset()
        feed = Feed(self._client, self._capture, self._backlog)
        try:
            await feed.prepare()
        except NatsError as error:
            log.warning("jetstream.refused name=%s reason=%r", self._name, error)
            return frozenset()
        self._feed = self._loop.create_task(feed.run())
        return frozenset(self._capture.subjects)

    async def _close_feed(self) -> None:
        if self._feed is not None:
            self._feed.cancel()
            await asyncio.gather(self._feed, return_exceptions=True)
            self._feed = None

    async def _until(self, over: asyncio.Event) -> None:
        """Waits for the end of a connection. One that could do more with JetStream, now that it is there, is ended."""
        while not over.is_set():
            try:
                async with asyncio.timeout(LOOK_FOR_JETSTREAM_S):
                    await over.wait()
            except TimeoutError:
                await self._look_for_jetstream()

    async def _look_for_jetstream(self) -> None:
        if self._capture is None or self.mode == JETSTREAM or not self._client.is_connected:
            return
        if await jetstream.is_available(self._client):
            log.info("jetstream.found name=%s", self._name)
            await self._leave_group()
            self._over.set()

    async def _receive(self, received: Msg) -> None:
        message = Message(received.subject, received.data, received.reply, dict(received.headers or {}))
        while not self._backlog.offer(message):
            await asyncio.sleep(FULL_WAIT_S)

    async def _receive_request(self, received: Msg) -> None:
        """A captured message comes from the stream; here only who awaits an answer to it is served."""
        if received.reply:
            await self._receive(received)

    def _begin_sending(self) -> None:
        task = self._loop.create_task(self._send(self._outbox.take()))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, messages: Sequence[Message]) -> None:
        """Messages of which one cannot be sent are taken for lost, with all that was posted by this connection."""
        try:
            for message in messages:
                headers = dict(message.headers) or None
                await self._client.publish(message.subject, message.data, reply=message.reply, headers=headers)
        except (NatsError, OSError) as error:
            self._connections += 1
            log.warning("nats.not_sent name=%s messages=%d reason=%r", self._name, len(messages), error)

    async def _confirm(self, timeout_s: float) -> None:
        """The client sends its PING ahead of what it has not written yet, so that is waited for first."""
        await asyncio.gather(*self._sending)
        async with asyncio.timeout(timeout_s):
            while self._client.pending_data_size and self._client.is_connected:
                await asyncio.sleep(0)
            await self._client.flush(timeout=max(1, int(timeout_s)))

    async def _close(self) -> None:
        await self._close_feed()
        if self._client.is_connected:
            await self._client.flush(timeout=FLUSH_S)
        await self._client.close()

    async def _leave_group(self) -> None:
        await self._close_feed()
        for subscription in self._receiving:
            await subscription.drain()

    async def _on_error(self, error: Exception) -> None:
        log.warning("nats.error name=%s reason=%r", self._name, error)

    async def _on_disconnected(self) -> None:
        self._connections += 1
        log.warning("nats.disconnected name=%s", self._name)

    async def _on_reconnected(self) -> None:
        log.info("nats.reconnected name=%s", self._name)
        if self._feed is not None:  # the server may have lost its streams, or JetStream itself: begin anew
            self._over.set()
