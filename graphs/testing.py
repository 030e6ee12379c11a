"""For tests: NATS in memory, the twin of `workers.links.nats.NatsLink`, and the contract that every provider keeps.

In the memory everything happens in the caller's thread: a publish is delivered before it returns.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.checks import CheckMessage

from graphs import store
from graphs.core.advance import Report
from graphs.core.cancelling import Told
from graphs.core.replies import Reply
from graphs.models import Component
from graphs.providers import provider
from graphs.providers.base import InFlight
from scheduler_project.toolkit.errors import InvalidDocument, Unavailable
from workers.links.backlog import Backlog, Message
from workers.links.nats import CORE, DEFAULT_MAX_PAYLOAD

Subscriber = Callable[[Message], None]
Connector = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


class ProviderContract:
    """What every provider keeps. Derive a test class, with the database in transactions.

    `alias` must be in `GRAPH_PROVIDERS`; `good` are keys of a component that it carries out, `bad` of one that it
    refuses, None where it refuses nothing.
    """

    alias: str
    good: Mapping[str, Any]
    bad: Mapping[str, Any] | None = None
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def document(self, graph_id: str, **fields: Any) -> dict[str, Any]:
        """A graph with one component of this provider."""
        named = {"_component": "thing", "_component_id": "thing::a", "_action": "update", "_provider": self.alias}
        edges = [{"source": "start", "destination": "thing::a"}]
        return {"id": graph_id, "changes": [{**named, **fields}], "edges": edges}

    def started(self, graph_id: str = "contract") -> Component:
        """The component of a graph, started by whoever may."""
        store.submit(self.document(graph_id, **self.good), self.now, source="http")
        sends = store.claim_any([self.alias], self.now).sends
        store.mark_sent(sends, self.now)
        return Component.objects.changes().get(graph_id=graph_id)

    def test_what_it_can_carry_out_is_accepted_and_started_once(self) -> None:
        row = self.started()
        assert (row.state, row.attempt) == ("running", 1)
        assert store.claim_any([self.alias], self.now).sends == ()
        row.refresh_from_db()
        assert row.attempt == 1

    def test_what_it_cannot_is_refused_with_the_path(self) -> None:
        if self.bad is None:
            return
        try:
            store.submit(self.document("contract", **self.bad), self.now, source="http")
        except InvalidDocument as error:
            assert all(fault.path.startswith("changes[0]") for fault in error.faults)
        else:
            raise AssertionError(f"{self.bad} was accepted")

    def test_handles_are_kept_and_are_of_one_attempt(self) -> None:
        handles = [self.started(f"contract-{number}").handle for number in range(3)]
        given = [handle for handle in handles if handle]
        assert len(set(given)) == len(given)

    def test_a_report_of_another_attempt_changes_nothing(self) -> None:
        row = self.started()
        report = Report("thing::a", "completed", attempt=row.attempt + 1)
        store.apply_replies([Reply("contract", report, {})], (), self.now)
        row.refresh_from_db()
        assert row.state == "running"

    def test_a_report_settles_it_and_keeps_what_it_was_given(self) -> None:
        row = self.started()
        report = Report("thing::a", "completed", attempt=row.attempt)
        store.apply_replies([Reply("contract", report, {"brought": 1})], (), self.now)
        row.refresh_from_db()
        assert (row.state, row.document["brought"]) == ("completed", 1)
        assert {key: row.document[key] for key in self.good} == dict(self.good)

    def test_what_does_not_come_back_in_time_is_not_awaited_for_ever(self) -> None:
        store.submit(self.document("contract", **self.good, _timeout_s=60), self.now, source="http")
        store.mark_sent(store.claim_any([self.alias], self.now).sends, self.now)
        store.sweep(self.now + timedelta(seconds=61))
        assert Component.objects.changes().get().state != "running"

    def test_a_cancel_of_what_is_unknown_or_over_does_no_harm(self) -> None:
        row = self.started()
        unwanted = [InFlight(row.pk, row.attempt + 1, "no-such-handle"), InFlight(row.pk, row.attempt, row.handle)]
        provider(self.alias).cancel(unwanted, self.now, "somebody", Told.EVERYBODY)

    def test_its_checks_are_djangos(self) -> None:
        assert all(isinstance(message, CheckMessage) and message.id for message in provider(self.alias).check())

    def test_a_sweep_with_nothing_to_do_does_nothing(self) -> None:
        row = self.started()
        provider(self.alias).look_after(self.now)
        row.refresh_from_db()
        assert (row.state, row.attempt) == ("running", 1)


class LoopbackServer:
    """Subjects and their subscribers. `published` keeps every message in order; `reachable` False is an outage."""

    def __init__(self, max_payload: int = DEFAULT_MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self.outages = 0
        self._reachable = True
        self.published: list[Message] = []
        self._subscribers: list[tuple[str, Subscriber]] = []
        self._groups: dict[tuple[str, str], list[Subscriber]] = {}
        self._turn = 0

    @property
    def reachable(self) -> bool:
        """Whether there is no outage now."""
        return self._reachable

    @reachable.setter
    def reachable(self, value: bool) -> None:
        self.outages += self._reachable and not value
        self._reachable = value

    def subscribe(self, pattern: str, subscriber: Subscriber) -> None:
        """Every matching message goes to the subscriber."""
        self._subscribers.append((pattern, subscriber))

    def join(self, pattern: str, group: str, subscriber: Subscriber) -> None:
        """Every matching message goes to one member of the group."""
        self._groups.setdefault((pattern, group), []).append(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """The subscriber is in no group any more."""
        for members in self._groups.values():
            members[:] = [member for member in members if member != subscriber]

    def publish(self, message: Message) -> None:
        """Delivers a message. Raises Unavailable in an outage."""
        if not self.reachable:
            raise Unavailable("NATS is not reached now; nothing was sent")
        self.published.append(message)
        for pattern, subscriber in list(self._subscribers):
            if matches(pattern, message.subject):
                subscriber(message)
        for (pattern, _), members in self._groups.items():
            if members and matches(pattern, message.subject):
                self._turn += 1
                members[self._turn % len(members)](message)

    def connect(self, pattern: str, answer: Connector) -> None:
        """Plays a connector: `answer` gets each component and returns it as it comes back, or None for silence."""

        def on_message(message: Message) -> None:
            reply = answer(json.loads(message.data))
            if reply is not None:
                ending = "error" if reply.get("_state") == "errored" else "done"
                self.publish(Message(f"{message.subject}.{ending}", json.dumps(reply).encode(), "", message.headers))

        self.subscribe(pattern, on_message)

    def subjects(self, pattern: str) -> list[str]:
        """The subjects of what was published under a pattern, in order."""
        return [message.subject for message in self.published if matches(pattern, message.subject)]

    def bodies(self, pattern: str) -> list[Any]:
        """The JSON bodies of what was published under a pattern, in order."""
        return [json.loads(message.data) for message in self.published if matches(pattern, message.subject)]


class LoopbackLink:
    """A link to a `LoopbackServer`."""

    def __init__(self, server: LoopbackServer, subscriptions: Sequence[str], group: str) -> None:
        self._server = server
        self._subscriptions = tuple(subscriptions)
        self._group = group
        self._backlog = Backlog()
        self._started = False

    @property
    def connected(self) -> bool:
        return self._started and self._server.reachable

    @property
    def max_payload(self) -> int:
        return self._server.max_payload

    @property
    def mode(self) -> str:
        """A server in memory keeps nothing."""
        return CORE

    def start(self) -> None:
        """Joins the group."""
        for pattern in self._subscriptions:
            self._server.join(pattern, self._group, self._receive)
        self._started = True

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        """What has been received, at once."""
        return self._backlog.take(limit, timeout_s)

    def wake(self) -> None:
        """Lets a waiting `take` return."""
        self._backlog.wake()

    def settled(self, messages: Sequence[Message]) -> None:
        """Does nothing: nothing was kept."""

    def post(self, messages: Sequence[Message]) -> int:
        """Delivers at once. Raises Unavailable in an outage."""
        self.publish(messages)
        return self._server.outages

    def confirm(self, connection: int) -> bool:
        """What is delivered is confirmed, unless an outage came between."""
        return self.connected and connection == self._server.outages

    def publish(self, messages: Sequence[Message]) -> None:
        """Raises Unavailable in an outage."""
        if not self.connected:
            raise Unavailable("NATS is not reached now; nothing was sent")
        for message in messages:
            self._server.publish(message)

    def stop_receiving(self) -> None:
        """Leaves the group."""
        self._server.leave(self._receive)

    def stop(self) -> None:
        """Is no longer connected."""
        self.stop_receiving()
        self._started = False

    def _receive(self, message: Message) -> None:
        self._backlog.offer(message)


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject is one of a subscription's, with `*` for one token and `>` for the rest."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1] if len(given) >= len(wanted) else []
    return len(wanted) == len(given) and all(one in ("*", other) for one, other in zip(wanted, given, strict=True))
