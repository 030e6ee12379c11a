"""What JetStream keeps for the bridges while none of them listens, and what becomes of it."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from graphs import store
from graphs.bridge.loop import GROUP, STREAM, capture
from graphs.core.words import START_SUBJECTS
from graphs.models import Component, Graph
from scheduler_project.models import Event
from scheduler_project.readiness import check_nats
from tests.integration.graphs.mappings import mapping
from tests.support.bridges import NewBridge, bridges_at_work
from tests.support.nats import remove_streams, stream_messages
from tests.support.wait import wait_until
from workers.links.backlog import Message
from workers.links.nats import NatsLink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(90)]
BURST = 70_000
LARGE_BURST = 80
LARGE_BYTES = 900_000
HEARD = ("build.*.done", "build.*.error", "*.create.demo", "*.create.demo.cancel", "inbox.*")


@pytest.fixture(params=["jetstream", "core"])
def server(request: pytest.FixtureRequest, settings: Any) -> Any:
    """A NATS server with or without JetStream."""
    found = request.getfixturevalue("nats_server" if request.param == "jetstream" else "plain_nats_server")
    settings.NATS_URI = found.url
    found.mode = request.param
    return found


@pytest.fixture
def streaming(nats_server: Any, settings: Any) -> Any:
    """A NATS server with JetStream."""
    settings.NATS_URI = nats_server.url
    return nats_server


@pytest.fixture
def new_bridge() -> Iterator[NewBridge]:
    """Starts bridges, connected."""
    with bridges_at_work() as start:
        yield start


@pytest.fixture
def outsider(request: pytest.FixtureRequest) -> Iterator[NatsLink]:
    """Somebody else on the server of the test."""
    fixtures = request.fixturenames
    url = request.getfixturevalue("server" if "server" in fixtures else "streaming").url
    link = NatsLink(url, HEARD, uuid.uuid4().hex, "outsider")
    link.start()
    link.wait_connected(10)
    yield link
    link.stop()


def done(component_id: str, graph_id: str = "b1", **fields: Any) -> Message:
    kind = component_id.partition("::")[0]
    body = {"_component_id": component_id, "service": graph_id, "_state": "completed"} | fields
    return Message(f"{kind}.create.demo.done", json.dumps(body).encode())


def running(*component_ids: str) -> bool:
    sent = Component.objects.filter(state="running", sent_at__isnull=False, component_id__in=component_ids)
    return sent.count() == len(component_ids)


def ended(graph_id: str = "b1") -> bool:
    return Graph.objects.filter(pk=graph_id, state="completed").exists()


def test_a_reply_that_came_while_no_bridge_was_there_is_not_lost(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    first = new_bridge()
    store.submit(mapping({"vpc::a": []}), timezone.now(), source="http")
    first.wake()
    wait_until(lambda: running("vpc::a"), what="the send")
    first.stop()
    outsider.publish([done("vpc::a")])

    new_bridge()
    wait_until(ended, what="the end")
    wait_until(lambda: stream_messages(streaming.url, STREAM) == 0, what="an empty stream")


def test_a_connector_hears_of_a_cancel_and_no_stream_keeps_it(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    first = new_bridge()
    store.submit(mapping({"vpc::a": []}), timezone.now(), source="http")
    first.wake()
    wait_until(lambda: running("vpc::a"), what="the send")
    first.stop()
    store.cancel("b1", timezone.now(), "ann", store.Told.EVERYBODY)

    new_bridge()
    heard: list[Message] = []

    def told() -> bool:
        heard.extend(outsider.take(10, 0.1))
        return any(message.subject == "vpc.create.demo.cancel" for message in heard)

    wait_until(told, what="the cancel")
    assert stream_messages(streaming.url, STREAM) == 0
    outsider.publish([done("vpc::a")])
    wait_until(lambda: Component.objects.filter(state="completed").exists(), what="the reply")


def test_a_build_that_was_started_while_no_bridge_was_there_is_carried_out(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    new_bridge().stop()
    outsider.publish([Message("build.create", b'{"id": "late"}'), Message("build.create", b"{}")])
    new_bridge()
    wait_until(lambda: Graph.objects.filter(state="completed").count() == 2, what="both ends")


def test_a_message_is_kept_until_the_database_has_it(streaming: Any, new_bridge: NewBridge, outsider: NatsLink) -> None:
    new_bridge().stop()
    taker = NatsLink(streaming.url, capture().subjects, GROUP, "taker", capture())
    taker.start()
    taker.wait_connected(10)
    outsider.publish([Message("build.create", b"{}")])
    [taken] = wait_until(lambda: taker.take(10, 0.1), what="the message")
    assert stream_messages(streaming.url, STREAM) == 1

    taker.settled([taken])
    assert not taker.take(10, 0.01)
    wait_until(lambda: stream_messages(streaming.url, STREAM) == 0, what="an empty stream")
    taker.stop()


def test_a_mapping_without_an_id_is_one_graph_however_often_it_is_delivered(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    bridge = new_bridge()
    start = Message("build.create", b"{}", token="$JS.ACK.s.c.1.7.1.99.0", identity="s.7.99")
    bridge.stop()
    for _ in range(2):
        bridge.handle([start])
    assert Graph.objects.count() == 1


def test_replies_spread_over_two_bridges_settle_each_component_once(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    names = [f"vpc::{number}" for number in range(60)]
    bridges = [new_bridge(), new_bridge()]
    store.submit(mapping({name: [] for name in names}), timezone.now(), source="http")
    bridges[0].wake()
    wait_until(lambda: running(*names), what="the sends")
    outsider.publish([done(name) for name in names])
    wait_until(ended, what="the end")
    assert not Event.objects.filter(name="component.report_ignored").exists()


def test_streams_that_the_server_lost_are_made_again_and_the_work_goes_on(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    bridge = new_bridge()
    store.submit(mapping({"vpc::a": []}), timezone.now(), source="http")
    bridge.wake()
    wait_until(lambda: running("vpc::a"), what="the send")
    streaming.forget()

    wait_until(lambda: outsider.connected and bridge.connected, 20, what="both connections")
    outsider.publish([done("vpc::a")])
    wait_until(ended, 20, what="the end")


def test_a_stream_that_somebody_removed_is_made_again(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    new_bridge()
    remove_streams(streaming.url)

    def started() -> bool:
        outsider.publish([Message("build.create", b'{"id": "b1"}')])
        return ended()

    wait_until(started, 20, what="a build after the loss")


def test_requests_of_a_store_are_answered_by_nobody_but_the_store(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    new_bridge()
    requests = ("build.get.mapping", "build.set.mapping", "build.set.mapping.component", "network.create.demo")
    outsider.publish([Message(subject, b"{}", f"inbox.{n}") for n, subject in enumerate(requests)])
    outsider.publish([Message("inbox.last", b"")])
    heard: list[str] = []

    def last_came() -> bool:
        heard.extend(message.subject for message in outsider.take(10, 0.1))
        return "inbox.last" in heard

    wait_until(last_came, what="the last")
    assert heard == ["network.create.demo", "inbox.last"]


def test_who_asks_for_a_build_is_answered_once(server: Any, new_bridge: NewBridge, outsider: NatsLink) -> None:
    new_bridge()
    outsider.publish([Message("build.create", b'{"id": "b1"}', "inbox.1")])
    heard = {}

    def both_came() -> bool:
        heard.update({message.subject: json.loads(message.data) for message in outsider.take(10, 0.1)})
        return len(heard) == 2

    wait_until(both_came, what="the answer and the end")
    assert heard["inbox.1"]["id"] == "b1"
    assert outsider.take(10, 0.2) == []
    assert Graph.objects.count() == 1


def test_who_asks_without_an_id_is_told_that_it_is_accepted(
    streaming: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    new_bridge()
    outsider.publish([Message("build.create", b"{}", "inbox.1")])
    heard = {}

    def both_came() -> bool:
        heard.update({message.subject: json.loads(message.data) for message in outsider.take(10, 0.1)})
        return len(heard) == 2

    wait_until(both_came, what="the answer and the end")
    assert heard["inbox.1"] == {"id": None, "state": "pending"}
    assert Graph.objects.count() == 1


@pytest.mark.parametrize(("count", "size_bytes"), [(BURST, 20), (LARGE_BURST, LARGE_BYTES)], ids=["many", "large"])
def test_nothing_of_a_burst_is_lost(server: Any, outsider: NatsLink, count: int, size_bytes: int) -> None:
    slow = NatsLink(server.url, [*START_SUBJECTS, "*.*.*.done"], GROUP, "slow", capture())
    slow.start()
    slow.wait_connected(10)
    assert slow.mode == server.mode
    padding = b"x" * size_bytes
    for first in range(0, count, 10_000):
        burst = [
            Message("vpc.create.demo.done", b"%d " % n + padding) for n in range(first, min(first + 10_000, count))
        ]
        outsider.publish(burst, timeout_s=30)
    found: set[int] = set()

    def all_came() -> bool:
        messages = slow.take(5000, 0.1)
        slow.settled(messages)
        found.update(int(message.data.partition(b" ")[0]) for message in messages)
        return len(found) == count

    wait_until(all_came, 60, what=f"{count} messages, after {len(found)}")
    slow.stop()


@pytest.mark.parametrize("server", ["core"], indirect=True)
def test_without_jetstream_the_queue_group_works_as_it_did(
    server: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    new_bridge()
    outsider.publish([Message("build.create", json.dumps(mapping({"vpc::a": []})).encode())])
    wait_until(lambda: running("vpc::a"), what="the send")
    outsider.publish([done("vpc::a")])
    wait_until(ended, what="the end")


def test_readiness_tells_whether_a_bridge_is_there_and_in_which_mode(
    server: Any, new_bridge: NewBridge, outsider: NatsLink
) -> None:
    assert not check_nats(timezone.now()).ok
    new_bridge()
    wait_until(lambda: check_nats(timezone.now()).ok, what="a bridge's word")
    assert ("without JetStream" in check_nats(timezone.now()).detail) == (server.mode == "core")
