"""NATS in memory, for tests without a server: the twin of `workers.links.nats.NatsLink` under the same tests.

Everything happens in the caller's thread: a publish is delivered before it returns.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scheduler_project.toolkit.errors import Unavailable
from workers.links.backlog import Backlog, Message
from workers.links.nats import CORE, DEFAULT_MAX_PAYLOAD

Subscriber = Callable[[Message], None]
Connector = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


class LoopbackServer:
    """Subjects and their subscribers. `published` keeps every message in order; `reachable` False is an outage."""

    def __init__(self, max_payload: int = DEFAULT_MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self.reachable = True
        self.published: list[Message] = []
        self._subscribers: list[tuple[str, Subscriber]] = []
        self._groups: dict[tuple[str, str], list[Subscriber]] = {}
        self._turn = 0

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
