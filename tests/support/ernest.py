"""What a user of ernest has around a build: NATS in memory, connectors played by hand, a bridge worked step by step."""

import json
from datetime import UTC, datetime
from typing import Any

from graphs.bridge.loop import GROUP, REPLY_SUBJECTS, Bridge
from graphs.core.words import START_SUBJECTS
from graphs.models import Component, Graph
from graphs.testing import LoopbackLink, LoopbackServer
from workers.links.backlog import Message
from workers.links.nats import Link

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def change(component_id: str, verb: str = "create", **fields: Any) -> dict[str, Any]:
    """A change `vpc::a` of type `vpc` for the provider `fake`."""
    kind = component_id.partition("::")[0]
    return {"_component": kind, "_component_id": component_id, "_action": verb, "_provider": "fake"} | fields


def build(changes: list[dict[str, Any]], edges: str, **fields: Any) -> dict[str, Any]:
    """A mapping `b1`; edges as `start>vpc::a vpc::a>end`."""
    pairs = (edge.split(">") for edge in edges.split())
    listed = [{"source": source, "destination": destination, "length": 1} for source, destination in pairs]
    return {"id": "b1", "action": "build.create", "components": [], "changes": changes, "edges": listed} | fields


class Ernest:
    """One bridge on NATS in memory, at a time that stands still unless told otherwise."""

    def __init__(self) -> None:
        self.server = LoopbackServer()
        self.now = NOW
        self.link = LoopbackLink(self.server, (*START_SUBJECTS, *REPLY_SUBJECTS), GROUP)
        self.link.start()
        self.bridge = Bridge(self.link, lambda: self.now)

    def publish(self, subject: str, body: Any) -> None:
        """Publishes JSON, or bytes as they are, and lets the bridge do all there is to do."""
        self.server.publish(Message(subject, body if isinstance(body, bytes) else json.dumps(body).encode()))
        self.work()

    def work(self) -> None:
        """Lets the bridge do all there is to do."""
        self.bridge.handle([])
        while messages := self.link.take(500, 0.01):
            self.bridge.handle(messages)
        self.bridge.handle([])

    def start(self, document: Any, subject: str = "build.create") -> None:
        """Starts a build."""
        self.publish(subject, document)

    def answer(self, component_id: str, state: str = "completed", ending: str = "", **fields: Any) -> None:
        """A connector's reply, on `….done` or `….error` as the state says unless `ending` does."""
        verb = fields.get("_action", "create")
        ending = ending or ("error" if state == "errored" else "done")
        body = {"_component_id": component_id, "service": "b1", "_state": state, "_action": verb} | fields
        self.publish(f"{component_id.partition('::')[0]}.{verb}.fake.{ending}", body)

    @property
    def sent(self) -> list[str]:
        """The ids of the components that went out, in order."""
        return [body["_component_id"] for body in self.server.bodies("*.*.fake")]

    def last_sent(self) -> Any:
        """The component that went out last."""
        return self.server.bodies("*.*.fake")[-1]

    @property
    def ends(self) -> list[str]:
        """What was announced of builds, in order."""
        return self.server.subjects("build.*.*")

    def end(self) -> Any:
        """The mapping in the one announcement of the end."""
        [subject] = self.ends
        [body] = self.server.bodies(subject)
        return body

    def refusal(self) -> dict[str, str]:
        """Why the one build was refused, by path; nothing of it is stored."""
        assert not Graph.objects.exists()
        [told] = self.server.bodies("build.*.error")
        return {fault["path"]: fault["message"] for fault in told["errors"]}


def hear(link: Link, heard: list[Message]) -> list[Message]:
    """Adds what has come since to what was heard before, and returns it all."""
    heard.extend(link.take(1000, 0.1))
    return heard


def states() -> dict[str, str]:
    """The states of all changes by their ids."""
    return dict(Component.objects.changes().values_list("component_id", "state"))
