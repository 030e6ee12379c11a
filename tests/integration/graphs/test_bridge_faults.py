"""What the bridge does when something it needs fails."""

import json
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from django.db import DataError, OperationalError

from graphs import bridge as worker_side
from graphs import export, store
from graphs.bridge import loop, mirroring, posted
from graphs.bridge.loop import GROUP, REPLY_SUBJECTS, Bridge
from graphs.bridge.serving import StoreService
from graphs.core.words import START_SUBJECTS
from graphs.models import Component, Graph
from graphs.store.hints import hint
from graphs.store.rows import swap
from graphs.tasks import advance, publish_nats, sweep
from graphs.testing import LoopbackLink, LoopbackServer
from tests.integration.graphs.mappings import mapping
from tests.support.wait import wait_until
from workers.links.backlog import Backlog, Message

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> LoopbackServer:
    return LoopbackServer()


@pytest.fixture
def failed() -> threading.Event:
    return threading.Event()


@pytest.fixture
def bridge(server: LoopbackServer, failed: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bridge]:
    """A bridge at work in its thread."""
    monkeypatch.setattr(loop, "DATABASE_WAIT_S", 0.01)
    monkeypatch.setattr(loop, "IDLE_S", 0.05)
    link = LoopbackLink(server, (*START_SUBJECTS, *REPLY_SUBJECTS), GROUP)
    bridge = Bridge(link, lambda: NOW, failed.set)
    bridge.start()
    yield bridge
    bridge.stop()


def fail_first(monkeypatch: pytest.MonkeyPatch, name: str, errors: Sequence[Exception]) -> None:
    """Lets a function of the store raise these errors, one per call, before it works."""
    works, left = getattr(store, name), list(errors)

    def call(*arguments: Any) -> Any:
        if left:
            raise left.pop(0)
        return works(*arguments)

    monkeypatch.setattr(store, name, call)


def reply(component_id: str) -> Message:
    body = {"_component_id": component_id, "service": "b1", "_state": "completed"}
    return Message("vpc.create.demo.done", json.dumps(body).encode())


def running(bridge: Bridge, *component_ids: str) -> None:
    store.submit(mapping({one: [] for one in component_ids}), NOW, source="http")
    bridge.wake()
    wait_until(lambda: Component.objects.filter(sent_at=NOW).count() == len(component_ids), what="the sends")


def test_replies_wait_while_the_database_is_away(
    bridge: Bridge, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(bridge, "vpc::a")
    fail_first(monkeypatch, "apply_replies", [OperationalError("away"), store.LostRace()])
    server.publish(reply("vpc::a"))
    wait_until(lambda: server.subjects("build.create.done"), what="the end")


def test_a_reply_that_the_database_refuses_does_not_take_others_with_it(
    bridge: Bridge, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(bridge, "vpc::a", "vpc::b")
    fail_first(monkeypatch, "apply_replies", [DataError("both"), DataError("the first")])
    bridge.handle([reply("vpc::a"), reply("vpc::b")])
    states = dict(Component.objects.changes().values_list("component_id", "state"))
    assert states == {"vpc::a": "running", "vpc::b": "completed"}


def test_a_fault_of_our_own_ends_the_worker(
    bridge: Bridge, failed: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(graph: Graph) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(export, "mapping", broken)
    store.submit({"id": "empty"}, NOW, source="http")
    bridge.wake()
    assert failed.wait(10)


def test_a_bridge_without_a_database_can_be_stopped(
    bridge: Bridge, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(bridge, "vpc::a")
    fail_first(monkeypatch, "apply_replies", [OperationalError("away")] * 100_000)
    server.publish(reply("vpc::a"))
    bridge.stop()
    assert Graph.objects.get().state == "running"


def test_a_send_that_nats_does_not_confirm_is_left_to_the_sweep(
    bridge: Bridge, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = server.publish

    def outage(message: Message) -> None:
        server.reachable = False
        taken(message)

    monkeypatch.setattr(server, "publish", outage)
    store.submit(mapping({"vpc::a": []}), NOW, source="http")
    bridge.push()
    component = Component.objects.changes().get()
    assert (component.state, component.sent_at) == ("running", None)
    assert component.resend_at is not None


def test_what_a_lost_connection_left_unmarked_is_left_to_the_sweep_and_asked_for_no_more(
    server: LoopbackServer,
) -> None:
    link = LoopbackLink(server, REPLY_SUBJECTS, GROUP)
    link.start()
    bridge = Bridge(link, lambda: NOW)
    store.submit(mapping({"vpc::a": []}), NOW, source="http")
    bridge.push()
    assert bridge.patience_s == posted.MARK_WITHIN_S
    server.reachable = False
    server.reachable = True
    bridge.handle([])
    assert bridge.patience_s > posted.MARK_WITHIN_S
    assert Component.objects.changes().get().sent_at is None


def test_a_worker_wakes_and_ends_with_its_bridge(settings: Any, nats_server: Any) -> None:
    settings.NATS_URI = nats_server.url
    step = worker_side.BridgeStep(None)
    step.start(None)
    store.submit({"id": "empty"}, NOW, source="http")
    publish_nats()
    wait_until(lambda: Graph.objects.filter(announced_at__isnull=False).exists(), what="the announcement")
    step.stop(None)
    publish_nats()


def test_the_tasks_start_what_is_ready_and_hint_at_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    hints: list[str] = []
    monkeypatch.setattr("graphs.store.moving.hint_bridge", lambda: hints.append("nats"))
    store.submit(mapping({"vpc::a": []}), NOW, source="http")
    advance(["b1"])
    sweep()
    assert hints == ["nats", "nats"]


def test_a_hint_without_a_broker_is_let_go(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    from kombu.exceptions import OperationalError as BrokerAway

    def away(*_: Any, **__: Any) -> None:
        raise BrokerAway("no broker")

    monkeypatch.setattr("graphs.store.hints.current_app.send_task", away)
    hint("graphs.advance", ["b1"])
    assert "hint.lost" in caplog.text


def test_a_row_that_changed_meanwhile_is_not_overwritten() -> None:
    store.submit(mapping({"vpc::a": []}), NOW, source="http")
    row = Component.objects.get()
    row.state = "completed"
    with pytest.raises(store.LostRace):
        swap([(row, "running")])
    assert Component.objects.get().state == "waiting"


def test_a_full_backlog_says_so() -> None:
    backlog = Backlog(1)
    assert [backlog.offer(Message("a", b"")) for _ in range(2)] == [True, False]
    assert backlog.take(5, 0.01) == [Message("a", b"")]


def broken(*_: object) -> Any:
    raise RuntimeError("a fault of our own")


def test_a_store_that_cannot_go_on_says_so_and_ends_its_worker(
    server: LoopbackServer, failed: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = StoreService(LoopbackLink(server, ["build.get"], "g"), on_failure=failed.set)
    monkeypatch.setattr(service, "handle", broken)
    service.start()
    server.publish(Message("build.get", b"{}", "inbox.1"))
    assert failed.wait(10)
    service.stop()
    assert "bridge.failed thread=graphs-store" in caplog.text


def test_a_mirror_that_cannot_go_on_says_so_and_ends_its_worker(
    server: LoopbackServer, failed: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirroring, "LOOK_EVERY_S", 0.01)
    mirror = mirroring.Mirror(cast(Any, LoopbackLink(server, [], "g")), on_failure=failed.set)
    monkeypatch.setattr(mirror, "tell", broken)
    mirror.start()
    assert failed.wait(10)
    mirror.stop()
    assert "mirror.failed" in caplog.text
