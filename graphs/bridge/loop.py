"""The bridge: takes start messages and replies from NATS, in batches, and sends what becomes ready.

Invariant: a message leaves the link's queue for good only when the database has it (or it is unusable and was logged);
while the database is away the bridge waits and tries the same batch again, until it is told to stop. Any number of
bridges share one queue group.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone
from msgspec.structs import replace

from graphs import export, store
from graphs.bridge import server
from graphs.bridge.messages import (
    MESSAGE_ID_HEADER,
    acceptance,
    attempt_of,
    cancel_message,
    component_message,
    end_message,
    refusals,
    short_end_message,
    start_document,
)
from graphs.bridge.mirroring import Mirror, make_mirror
from graphs.bridge.posted import MARK_WITHIN_S, Posted
from graphs.bridge.presence import Presence
from graphs.bridge.serving import StoreService, make_store_service
from graphs.bridge.thread import IDLE_S, LinkThread
from graphs.core.document import parse
from graphs.core.replies import Reply, UnreadableReply, read_reply
from graphs.core.values import parse_json
from graphs.core.words import PROGRESS_ENDING, START_SUBJECTS
from graphs.models import Graph
from graphs.providers import aliases, component_faults, provider
from graphs.providers.base import Send
from graphs.store.claiming import Claimed
from graphs.store.moving import here
from scheduler_project.toolkit.errors import ConfigurationError, SchedulerError, Unavailable
from workers.links.backlog import Message
from workers.links.jetstream import Capture
from workers.links.nats import JETSTREAM, Link

log = logging.getLogger(__name__)

GROUP = "scheduler-bridges"
STREAM = "scheduler"
REPLY_SUBJECTS = ("*.*.*.done", "*.*.*.error")
PROGRESS_SUBJECTS = (f"*.*.*{PROGRESS_ENDING}",)
"""Signs of life are heard, not captured: one that is lost is followed by another."""
BATCH = 500
DATABASE_WAIT_S = 1.0


def make_bridge(on_failure: Callable[[], None] = lambda: None) -> "Bridge":
    """The bridge to the server of `NATS_URI`; `on_failure` is called when it cannot go on.

    Raises ConfigurationError where `NATS_URI` is not set.
    """
    if not settings.NATS_URI:
        raise ConfigurationError("NATS_URI is not set, so there is nothing to bridge; set it, or stop this worker")
    subjects = (*starts(), *REPLY_SUBJECTS, *PROGRESS_SUBJECTS)
    link = server.link(subjects, GROUP, "scheduler-bridge", capture())
    return Bridge(link, on_failure=on_failure)


def starts() -> tuple[str, ...]:
    """The subjects that start graphs here; none where we are only the store of another scheduler."""
    return () if settings.GRAPH_STORE == "store" else START_SUBJECTS


def services(on_failure: Callable[[], None] = lambda: None) -> Sequence[StoreService | Mirror]:
    """What this process does beside bridging; `on_failure` is called when one of them cannot go on."""
    if settings.GRAPH_STORE == "external":
        return [make_mirror(on_failure)]
    return [make_store_service(on_failure)] if settings.GRAPH_STORE in ("served", "store") else []


def capture() -> Capture:
    """What JetStream keeps for the bridges: replies and start messages, and nothing that is a request to a store."""
    return Capture(
        stream=STREAM,
        consumer=GROUP,
        subjects=(*starts(), *REPLY_SUBJECTS),
        answered=starts(),
        max_age_s=settings.NATS_STREAM_MAX_AGE_S,
        max_bytes=settings.NATS_STREAM_MAX_BYTES,
    )


class Bridge(LinkThread):
    """One thread between a link and the store."""

    name = "graphs-bridge"
    batch = BATCH

    def __init__(
        self, link: Link, clock: Callable[[], datetime] = timezone.now, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(link, on_failure)
        self._clock = clock
        self._presence = Presence()
        self._posted = Posted()
        self._told_cancels_s = 0.0
        self._asked = threading.Event()

    def wake(self) -> None:
        """Lets the bridge look for what is ready and what has ended, now."""
        self._asked.set()
        self._link.wake()

    @property
    def patience_s(self) -> float:
        """What is sent is marked so when no reply has made that needless at once."""
        return MARK_WITHIN_S if self._posted else IDLE_S

    def work(self, messages: Sequence[Message]) -> None:
        """Works on messages until the database has what they say."""
        while True:
            try:
                self.handle(messages)
            except (OperationalError, InterfaceError, store.LostRace) as error:
                log.warning("bridge.database_away messages=%d reason=%s", len(messages), error)
                connection.close()
                if self._stopping.wait(DATABASE_WAIT_S):
                    log.warning("bridge.messages_lost messages=%d reason=stopped without a database", len(messages))
                    return
            else:
                return

    def finish(self) -> None:
        """Nothing that was sent is left unmarked."""
        self._mark_sent()

    def handle(self, messages: Sequence[Message]) -> None:
        """Settles replies, starts graphs, sends what that sets free and announces ends.

        What is ready elsewhere is looked for when there is a sign of it, and when nothing else is to be done.
        """
        starts = [message for message in messages if message.subject in START_SUBJECTS]
        replies = [message for message in messages if message.subject not in START_SUBJECTS]
        try:
            if replies:
                self._settle(replies)
        except (OperationalError, InterfaceError, store.LostRace):
            raise
        except DatabaseError as error:
            self._settle_one_by_one(replies, error)
        for start in starts:
            self._start_graph(start)
        self._link.settled(starts)
        if not messages or self._posted.is_due:
            self._mark_sent()
        if not messages or starts or self._asked.is_set() or _any_bounded():
            self._asked.clear()
            self.push()
            self.announce()
        if not messages or time.monotonic() - self._told_cancels_s > IDLE_S:
            self._told_cancels_s = time.monotonic()
            self.tell_cancels()
        if self._link.connected:
            self._presence.tell(self._link.mode, self._clock())

    def push(self) -> None:
        """Sends whatever is ready in any graph."""
        while self._send(store.claim_any(self._backends(), self._clock())):
            pass

    def announce(self) -> None:
        """Publishes the ends that nobody has announced yet."""
        if not self._link.connected:
            return
        for graph in store.take_announcements(self._clock()):
            message = _end_of(graph, self._link.max_payload)
            if self._publish([message]):
                store.mark_announced([graph.pk], self._clock())
                log.info("graph.announced graph=%s subject=%s", graph.pk, message.subject)

    def tell_cancels(self) -> None:
        """Publishes on `….cancel` what is in flight and not wanted any more, where a person asked for that."""
        while self._link.connected and (notices := store.take_notices(self._clock())):
            wanted = [one for one in notices if store.is_wanted(one)]
            if not self._publish([cancel_message(one.component, one.attempt) for one in wanted]):
                return
            store.forget_notices(notices)

    def _settle(self, messages: Sequence[Message]) -> None:
        replies = [reply for message in messages if (reply := _reply_in(message)) is not None]
        claimed = store.apply_replies(replies, self._backends(), self._clock()) if replies else Claimed()
        self._link.settled(messages)
        self._posted.forget_answered(replies)
        if self._send(claimed) or claimed.ended:
            self._asked.set()

    def _settle_one_by_one(self, messages: Sequence[Message], error: DatabaseError) -> None:
        """A message that the database refuses is set aside with its subject in the log, and the others are kept."""
        log.error("bridge.batch_refused messages=%d reason=%s", len(messages), error)
        for message in messages:
            try:
                self._settle([message])
            except (OperationalError, InterfaceError, store.LostRace):
                raise
            except DatabaseError as refused:
                log.error("bridge.message_refused subject=%s reason=%s", message.subject, refused)  # noqa: TRY400
                self._link.settled([message])

    def _start_graph(self, message: Message) -> None:
        """Accepts or refuses a mapping, and tells so: everybody on `….error`, and the sender who awaits an answer."""
        only_an_answer = self._link.mode == JETSTREAM and not message.identity
        document = None
        try:
            document = start_document(message, parse_json(message.data))
            graph_id, state = self._submitted(document, only_an_answer)
        except SchedulerError as error:
            log.warning("graph.refused subject=%s reason=%s", message.subject, error)
            told = refusals(message, document, error)
            self._publish([one for one in told if one.subject == message.reply or not only_an_answer])
        else:
            self._publish(acceptance(message, graph_id, state))

    def _submitted(self, document: Any, only_an_answer: bool) -> tuple[str | None, str]:
        """The graph's id and state. A stream brings each mapping too, so here one without an id is only checked."""
        if only_an_answer and isinstance(document, dict) and not document.get("id"):
            parse(document, "unnamed", component_faults)
            return None, "pending"
        graph = store.submit(document, self._clock(), source="nats")
        return graph.pk, graph.state

    def _backends(self) -> Sequence[str]:
        """Whose components may be claimed now: nothing is claimed for NATS while it is away."""
        return aliases() if self._link.connected else here()

    def _send(self, claimed: Claimed) -> bool:
        """Sends what was claimed. Returns whether there may be more to claim."""
        limit = self._link.max_payload
        messages = [(send, component_message(send)) for send in claimed.sends]
        large = [(send, len(message.data)) for send, message in messages if len(message.data) > limit]
        if large:
            why = "{} bytes are more than the {} that the NATS server takes in a message"
            store.refuse_sends([(send, why.format(size, limit)) for send, size in large], self._clock())
        fits = [(send, message) for send, message in messages if len(message.data) <= limit]
        if fits:
            self._post(fits)
        return claimed.more

    def _post(self, messages: Sequence[tuple[Send, Message]]) -> None:
        """What the server may not have is sent again by the sweep."""
        try:
            number = self._link.post([message for _, message in messages])
        except Unavailable as error:
            log.warning("bridge.not_sent messages=%d reason=%s", len(messages), error)
        else:
            self._posted.add([send for send, _ in messages], number)

    def _mark_sent(self) -> None:
        """Marks what the server has and nobody has answered yet; what it may not have is left to the sweep."""
        if self._posted:
            if self._link.confirm(self._posted.connection):
                store.mark_sent(self._posted.sends, self._clock())
            self._posted.clear()

    def _publish(self, messages: Sequence[Message]) -> bool:
        """Whether the server has the messages. What it may not have is sent again by the sweep."""
        try:
            self._link.publish(messages)
        except Unavailable as error:
            log.warning("bridge.not_sent messages=%d reason=%s", len(messages), error)
            return False
        return True


def _any_bounded() -> bool:
    """Whether a reply in one graph may make room for what is ready in another."""
    return any(provider(alias).at_once for alias in aliases())


def _end_of(graph: Graph, max_payload: int) -> Message:
    """What tells of the end of a graph's run; each run has its own, under an id of its own."""
    if export.is_far_larger(graph, max_payload):
        message = short_end_message(export.without_lists(graph), graph.state, max_payload)
    else:
        message = end_message(export.mapping(graph), graph.state, max_payload)
    return replace(message, headers={**message.headers, MESSAGE_ID_HEADER: f"{graph.pk}.{graph.run}.{graph.state}"})


def _reply_in(message: Message) -> Reply | None:
    try:
        return read_reply(message.subject, message.data, attempt_of(message))
    except UnreadableReply as error:
        log.warning("reply.unreadable subject=%s reason=%s", message.subject, error)
        return None
