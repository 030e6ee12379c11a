"""An outside store that is kept true to our graphs, on a real NATS server."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.utils import timezone

from graphs import store
from graphs.bridge.mirroring import Mirror, make_mirror
from graphs.core.advance import Report
from graphs.core.mappings import with_change, with_component, without_component
from graphs.core.replies import Reply
from graphs.models import Graph, Mirrored
from graphs.store import mirrors
from scheduler_project.models import Event
from tests.integration.graphs.mappings import change, mapping
from tests.support.wait import wait_until
from workers.links.backlog import Message
from workers.links.nats import NatsLink

pytestmark = pytest.mark.django_db(transaction=True)
EDITS = {
    "build.set.mapping.change": with_change,
    "build.set.mapping.component": with_component,
    "build.del.mapping.component": without_component,
}


class OutsideStore:
    """Keeps mappings in memory; while `refusal` is set it takes nothing."""

    def __init__(self, url: str) -> None:
        self.mappings: dict[str, Any] = {}
        self.heard: list[str] = []
        self.refusal = ""
        self.link = NatsLink(url, ["build.set.mapping", *EDITS], "outside", "outside")
        self.link.start()
        self.link.wait_connected(10)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while not self.ending.is_set():
            for message in self.link.take(10, 0.05):
                self.heard.append(message.subject)
                answer = json.dumps({"_error": self.refusal}).encode() if self.refusal else self.take(message)
                self.link.publish([Message(message.reply, answer)])

    def take(self, message: Message) -> bytes:
        body = json.loads(message.data)
        if message.subject == "build.set.mapping":
            self.mappings[body["id"]] = body["mapping"]
        else:
            self.mappings[body["service"]] = EDITS[message.subject](self.mappings[body["service"]], body)
        return b""

    def close(self) -> None:
        self.ending.set()
        self.thread.join()
        self.link.stop()


@pytest.fixture
def outside(nats_server: Any, settings: Any) -> Iterator[OutsideStore]:
    settings.NATS_URI = nats_server.url
    found = OutsideStore(nats_server.url)
    yield found
    found.close()


@pytest.fixture
def mirror(outside: OutsideStore) -> Iterator[Mirror]:
    """A mirror, worked by hand."""
    made = make_mirror()
    made._link.start()
    wait_until(lambda: made._link.connected, what="the mirror's connection")
    yield made
    made._link.stop()


def completed(component_id: str, **document: Any) -> None:
    reply = Reply("b1", Report(component_id, "completed"), document)
    store.apply_replies([reply], ["nats"], timezone.now())


def states(outside: OutsideStore) -> dict[str, str]:
    return {one["_component_id"]: one["_state"] for one in outside.mappings["b1"]["changes"]}


def test_the_store_is_told_as_ernests_scheduler_tells_it(outside: OutsideStore, mirror: Mirror) -> None:
    store.submit(mapping({"vpc::a": [], "network::a": ["vpc::a"]}), timezone.now(), source="http")
    mirror.tell()
    store.claim_any(["nats"], timezone.now())
    mirror.tell()
    completed("vpc::a", vpc_aws_id="vpc-1")
    mirror.tell()

    assert outside.heard == [
        "build.set.mapping",
        "build.set.mapping.change",
        "build.set.mapping.change",
        "build.set.mapping.component",
        "build.set.mapping.change",
    ]
    assert states(outside) == {"vpc::a": "completed", "network::a": "running"}
    [exists] = outside.mappings["b1"]["components"]
    assert (exists["_component_id"], exists["vpc_aws_id"], exists["service"]) == ("vpc::a", "vpc-1", "b1")


def test_what_is_deleted_and_found_is_told_too(outside: OutsideStore, mirror: Mirror) -> None:
    document = mapping({"vpc::a": [], "vpc::query": []}, components=[change("vpc::a")])
    document["changes"][0]["_action"], document["changes"][1]["_action"] = "delete", "find"
    store.submit(document, timezone.now(), source="http")
    store.claim_any(["nats"], timezone.now())
    mirror.tell()
    completed("vpc::a")
    completed("vpc::query", components=[change("vpc::x"), change("vpc::y")])
    mirror.tell()
    assert sorted(one["_component_id"] for one in outside.mappings["b1"]["components"]) == ["vpc::x", "vpc::y"]


def test_a_store_that_refuses_does_not_hold_the_engine_and_is_told_later(outside: OutsideStore, mirror: Mirror) -> None:
    outside.refusal = "could not store"
    store.submit(mapping({"vpc::a": []}), timezone.now(), source="http")
    for tries in range(3):
        at = timezone.now() + timedelta(seconds=10 * tries)
        with patch.object(mirror, "_clock", return_value=at):
            mirror.tell()
    store.claim_any(["nats"], timezone.now())
    completed("vpc::a")
    assert Graph.objects.get().state == "completed"
    assert "could not store" in Mirrored.objects.get().reason
    assert "could not store" in Event.objects.get(name="graph.store_refused").message

    outside.refusal = ""
    with patch.object(mirror, "_clock", return_value=timezone.now() + timedelta(seconds=60)):
        mirror.tell()
    assert states(outside) == {"vpc::a": "completed"}
    assert (Mirrored.objects.get().tries, Mirrored.objects.get().reason) == (0, "")
    assert mirrors.untold(timezone.now()) == []


def test_a_store_that_is_silent_counts_as_refusing(
    nats_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NATS_URI = nats_server.url
    mirror = make_mirror()
    mirror._link.start()
    wait_until(lambda: mirror._link.connected, what="the mirror's connection")
    store.submit(mapping({"vpc::a": []}), timezone.now(), source="http")
    mirror.tell()
    mirror._link.stop()
    assert "nobody answered" in Mirrored.objects.get().reason


def test_of_two_mirrors_one_tells(outside: OutsideStore, mirror: Mirror) -> None:
    second = make_mirror()
    second.start()
    store.submit(mapping({"vpc::a": []}), timezone.now(), source="http")
    wait_until(lambda: outside.mappings, what="the mapping")
    store.claim_any(["nats"], timezone.now())
    mirror.tell()
    wait_until(lambda: states(outside) == {"vpc::a": "running"}, what="the change")
    second.stop()
    assert outside.heard == ["build.set.mapping", "build.set.mapping.change"]
