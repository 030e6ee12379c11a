"""A connector on NATS for tests: it remembers all that it was sent, and answers each message when that asks for it.

Invariant: an answer is published until a server has confirmed it, over any outage, so it may be heard twice and is lost
only by a server that forgets what it confirmed.
"""

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

CONFIRMED_WITHIN_S = 1
ANSWERED_WITHIN_S = 3
RECONNECT_WAIT_S = 0.1
DELAY_KEY = "delay_s"


@dataclass(frozen=True)
class Sent:
    """One message that the connector was sent: which component of which graph, under which attempt."""

    graph_id: str
    component_id: str
    attempt: int


@dataclass(frozen=True)
class End:
    """One announcement of a graph's end."""

    subject: str
    graph_id: str
    message_id: str


class Connector:
    """Carries out the components of one provider, in a thread of its own. What it hears it adds to its lists."""

    def __init__(self, uri: str, provider: str) -> None:
        self.sent: list[Sent] = []
        self.ends: list[End] = []
        self.answers: list[Any] = []
        self._uri = uri
        self._provider = provider
        self._client = Client()
        self._at_work: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="connector", daemon=True)

    def start(self) -> "Connector":
        """Returns once it listens."""
        self._thread.start()
        self._do(self._listen())
        return self

    def stop(self) -> None:
        """Leaves what is at work undone."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def request(self, subject: str, body: Mapping[str, Any]) -> None:
        """Returns at once, and asks again until somebody answers."""
        self._loop.call_soon_threadsafe(self._begin, self._ask(subject, body))

    def publish(self, subject: str, body: Mapping[str, Any]) -> None:
        """Returns once the server has it."""
        self._do(self._say(subject, body, None))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _listen(self) -> None:
        await self._client.connect(
            self._uri,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # it is only slept for
            error_cb=self._ignore,
        )
        await self._client.subscribe(f"*.*.{self._provider}", queue="connectors", cb=self._receive)
        for ending in ("done", "error"):
            await self._client.subscribe(f"build.*.{ending}", cb=self._receive_end)
        await self._client.flush()

    async def _close(self) -> None:
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)
        await self._client.close()

    async def _ignore(self, error: Exception) -> None:
        """Outages are what the tests make."""

    async def _receive(self, received: Msg) -> None:
        component, headers = json.loads(received.data), dict(received.headers or {})
        self.sent.append(
            Sent(component["service"], component["_component_id"], int(headers.get("Scheduler-Attempt", 0)))
        )
        self._begin(self._carry_out(received.subject, component, headers))

    async def _receive_end(self, received: Msg) -> None:
        message_id = (received.headers or {}).get("Nats-Msg-Id", "")
        self.ends.append(End(received.subject, json.loads(received.data)["id"], message_id))

    async def _carry_out(self, subject: str, component: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        await asyncio.sleep(float(component[DELAY_KEY]))
        await self._say(f"{subject}.done", {**component, "_state": "completed"}, headers)

    async def _ask(self, subject: str, body: Mapping[str, Any]) -> None:
        while True:
            try:
                answer = await self._client.request(subject, json.dumps(body).encode(), ANSWERED_WITHIN_S)
                self.answers.append(json.loads(answer.data))
            except (NatsError, OSError, TimeoutError):
                await asyncio.sleep(RECONNECT_WAIT_S)
            else:
                return

    async def _say(self, subject: str, body: Mapping[str, Any], headers: Mapping[str, str] | None) -> None:
        while True:
            try:
                await self._client.publish(subject, json.dumps(body).encode(), headers=dict(headers or {}) or None)
                await self._client.flush(CONFIRMED_WITHIN_S)
            except (NatsError, OSError, TimeoutError):
                await asyncio.sleep(RECONNECT_WAIT_S)
            else:
                return
