"""What JetStream keeps for us: a stream that captures subjects, and one durable consumer that all links share.

Messages are asked for in amounts that there is room for, so the server holds back what we cannot take. Invariants: a
message stays in the stream until its token was sent back; a stream or consumer that is gone is made again; the stream
never answers a publish, so a request on a captured subject is answered by who serves it and nobody else.
"""

import asyncio
import logging
import re
from contextlib import suppress
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError, ServiceUnavailableError

from workers.links.backlog import Backlog, Message

log = logging.getLogger(__name__)

HELD_MESSAGES = 10_000
ASK_MESSAGES = 2000
ASK_BYTES = 32 * 1024 * 1024
ASK_LASTS_S = 30
HEARTBEAT_S = 2.0
SILENCE_S = 3 * HEARTBEAT_S
ACK = b"+ACK"
ACK_WAIT_S = 20
ACK_PENDING_MAX = 200_000
API_TIMEOUT_S = 5.0
RETRY_WAIT_S = 0.5
LOOK_AGAIN_S = 0.05
AVAILABLE_TRIES = 3
TEMPORARILY_AWAY = 10008
HEARTBEAT_STATUS = "100"
ACK_SUBJECT = re.compile(
    r"\$JS\.ACK\.(?:[^.]+\.[^.]+\.)?(?P<stream>[^.]+)\.[^.]+\.\d+\.(?P<place>\d+)\.\d+\.(?P<at>\d+)\."
)


@dataclass(frozen=True)
class Capture:
    """What is kept and for how long: messages on `subjects`, until settled, `max_age_s` old or beyond `max_bytes`.

    Messages on `answered` whose sender awaits an answer are also handed over as plain ones, since a stream keeps no
    reply subjects.
    """

    stream: str
    consumer: str
    subjects: tuple[str, ...]
    answered: tuple[str, ...]
    max_age_s: float
    max_bytes: int


async def is_available(client: Client) -> bool:
    """Whether the server offers JetStream to this account. One that has no leader just now is asked again."""
    for _ in range(AVAILABLE_TRIES):
        try:
            await client.jetstream(timeout=API_TIMEOUT_S).account_info()
        except ServiceUnavailableError as error:
            if error.err_code != TEMPORARILY_AWAY:
                return False
            await asyncio.sleep(RETRY_WAIT_S)
        except (NatsError, TimeoutError) as error:
            log.info("jetstream.unusable reason=%r", error)
            return False
        else:
            return True
    return False


class Feed:
    """Brings captured messages into a backlog for as long as `run` runs."""

    def __init__(self, client: Client, capture: Capture, backlog: Backlog) -> None:
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=API_TIMEOUT_S)
        self._capture = capture
        self._backlog = backlog
        self._asked = 0
        self._heard_at = 0.0
        self._woken = asyncio.Event()
        self._lost = False

    async def prepare(self) -> None:
        """Makes the stream and the consumer where they are missing, and sets their limits."""
        capture = self._capture
        stream = StreamConfig(
            name=capture.stream,
            subjects=list(capture.subjects),
            retention=RetentionPolicy.WORK_QUEUE,
            max_age=capture.max_age_s,
            max_bytes=capture.max_bytes,
            no_ack=True,
        )
        try:
            await self._js.stream_info(capture.stream)
            await self._js.update_stream(stream)
        except NotFoundError:
            await self._add(stream)
        await self._js.add_consumer(
            capture.stream,
            ConsumerConfig(
                durable_name=capture.consumer,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_S,
                max_ack_pending=ACK_PENDING_MAX,
            ),
        )

    async def _add(self, stream: StreamConfig) -> None:
        try:
            await self._js.add_stream(stream)
        except BadRequestError:
            await self._js.stream_info(self._capture.stream)  # another link has just made it
        log.info("jetstream.stream_made stream=%s", self._capture.stream)

    async def run(self) -> None:
        """Pulls until cancelled. What interrupts it is logged, and everything is prepared anew."""
        while True:
            try:
                await self._pull()
                await self.prepare()
            except (NatsError, OSError, TimeoutError) as error:
                log.warning("jetstream.interrupted stream=%s reason=%r", self._capture.stream, error)
                await asyncio.sleep(RETRY_WAIT_S)

    async def _pull(self) -> None:
        """Asks for messages and hands them over until the server is silent or says that the consumer is gone."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(
            inbox, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._asked, self._lost = 0, False
        self._hear()
        try:
            while not self._lost and self._now() - self._heard_at < SILENCE_S:
                await self._ask(inbox)
                self._woken.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_S if self._asked else LOOK_AGAIN_S):
                        await self._woken.wait()
        finally:
            await subscription.unsubscribe()

    async def _ask(self, inbox: str) -> None:
        room = min(self._backlog.room - self._asked, ASK_MESSAGES)
        if not self._asked:
            self._hear()
        if self._asked > ASK_MESSAGES // 2 or room <= 0:
            return
        request = (
            f'{{"batch":{room},"max_bytes":{max(ASK_BYTES, 2 * self._client.max_payload)},'
            f'"expires":{ASK_LASTS_S * 10**9},"idle_heartbeat":{int(HEARTBEAT_S * 10**9)}}}'
        )
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._capture.stream}.{self._capture.consumer}"
        self._asked += room
        await self._client.publish(subject, request.encode(), reply=inbox)

    async def _receive(self, received: Msg) -> None:
        self._hear()
        status = (received.headers or {}).get("Status")
        if status is not None and not received.data:
            self._take_status(status, received)
            return
        self._asked -= 1
        message = Message(
            received.subject,
            received.data,
            headers=dict(received.headers or {}),
            token=received.reply,
            identity=identity_of(received.reply),
        )
        while not self._backlog.offer(message):
            await asyncio.sleep(LOOK_AGAIN_S)
            self._hear()
        if self._asked <= ASK_MESSAGES // 2:
            self._woken.set()

    def _take_status(self, status: str, received: Msg) -> None:
        """A request that is over, with how much of it is left undone; or one that nobody serves."""
        if status == HEARTBEAT_STATUS:
            return
        headers = received.headers or {}
        left = headers.get("Nats-Pending-Messages", "")
        self._asked = max(0, self._asked - int(left)) if left.isdigit() else 0
        described = headers.get("Description", "")
        if status == "503" or "deleted" in described.lower():
            log.warning("jetstream.lost stream=%s reason=%s %s", self._capture.stream, status, described)
            self._lost = True
        self._woken.set()

    def _hear(self) -> None:
        self._heard_at = self._now()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def identity_of(token: str) -> str:
    """Names a kept message by its stream, its place there and its time; empty for a token of another form."""
    found = ACK_SUBJECT.match(token)
    return f"{found['stream']}.{found['place']}.{found['at']}" if found else ""
