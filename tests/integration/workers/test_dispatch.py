"""The control side's Celery tasks and its sends: what travels, and what happens when nothing can travel."""

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, current_app
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from tests.support.servers import ValkeyServer
from tests.support.trust import body_of, enrolled, sealed
from workers import dispatch, store, tasks
from workers.core.commands import NewCommand
from workers.heartbeats import apply_texts
from workers.models import Command, Worker
from workers.protocol import (
    ENROL_TASK,
    HEARTBEAT_TASK,
    REPORTS_TASK,
    Heartbeat,
    Reports,
    SetDraining,
    decode_orders,
    encode,
)
from workers.testing import FakeAgents

BrokerAt = Callable[[str], Celery]
DRAIN = SetDraining(draining=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def broker_at() -> Iterator[Callable[[str], Celery]]:
    """Has everything sent through the broker of an address; returns the Celery app that sends."""
    before = dispatch.use_transport(dispatch.BrokerTransport())
    apps: list[Celery] = []

    def point(url: str) -> Celery:
        app = Celery("test", broker=url, set_as_current=False)
        app.conf.task_default_queue = "control"
        apps.append(app)
        dispatch.use_transport(dispatch.BrokerTransport(app))
        return app

    yield point
    dispatch.use_transport(before)
    for app in apps:
        app.close()


@pytest.mark.django_db
def test_orders_travel_in_batches_on_the_hosts_queue_and_expire(
    broker_at: BrokerAt, valkey_server: ValkeyServer
) -> None:
    app = broker_at(valkey_server.url)
    enrolled("host-t", "t")

    dispatch.publish({"host-t": [DRAIN] * (dispatch.ORDERS_PER_MESSAGE + 1)})

    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("host-t")
        messages = [queue.get(timeout=5), queue.get(timeout=5)]
        envelopes = [decode_orders(body_of(message.payload[0][0])) for message in messages]
        assert [len(envelope.orders) for envelope in envelopes] == [dispatch.ORDERS_PER_MESSAGE, 1]
        assert {envelope.host for envelope in envelopes} == {"host-t"}
        assert all(message.headers["expires"] for message in messages)
        for message in messages:
            message.ack()
        queue.close()


@pytest.mark.django_db
def test_a_broker_that_is_away_fails_no_submit(
    broker_at: BrokerAt,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    broker_at(f"redis://127.0.0.1:{free_port()}/0")
    enrolled("host-t", "t")

    with caplog.at_level(logging.WARNING), django_capture_on_commit_callbacks(execute=True):
        commands = store.submit([NewCommand(argv=["true"])] * 100, timezone.now())
        dispatch.publish_after_commit({"host-t": [DRAIN]})

    assert Command.objects.count() == len(commands)
    messages = [record.getMessage() for record in caplog.records if record.name == "workers.dispatch"]
    assert [message.partition(" ")[0] for message in messages] == ["dispatch.not_woken", "orders.not_sent"]


@pytest.mark.django_db
def test_the_tasks_apply_what_arrives(agents: FakeAgents) -> None:
    heartbeat = Heartbeat(
        host="host-t", worker_id="t", session="s", started_at=1, sent_at=1, version="1", address="here"
    )
    enrolled("host-t", "t")
    reports = Reports(host="host-t", session="s", sent_at=1, reports=[])
    apply_texts([sealed("host-t", HEARTBEAT_TASK, encode(heartbeat))], timezone.now())
    tasks.apply_reports(sealed("host-t", REPORTS_TASK, encode(reports)))
    (command,) = store.submit([NewCommand(argv=["true"])], timezone.now())
    tasks.dispatch_commands()
    tasks.sweep()

    command.refresh_from_db()
    assert (Worker.objects.get().name, command.state) == ("host-t", "scheduled")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "receive", [tasks.apply_reports, tasks.enrol, lambda text: apply_texts([text], timezone.now())]
)
def test_an_unreadable_envelope_is_logged_and_dropped(receive: Any, caplog: pytest.LogCaptureFixture) -> None:
    receive("{not an envelope")

    assert "unreadable" in caplog.text


def test_the_tasks_have_the_names_that_others_send_to() -> None:
    names = {REPORTS_TASK, ENROL_TASK, "workers.sweep", "workers.dispatch_commands"}

    assert names <= set(current_app.tasks)


@pytest.mark.django_db
def test_a_full_batch_of_pending_commands_has_the_rest_placed_without_waiting(agents: FakeAgents) -> None:
    agents.connect("host-a", now=timezone.now())
    store.submit([NewCommand(argv=["true"])] * 501, timezone.now())
    agents.wakes = 0

    tasks.sweep()
    after_one_tick = Command.objects.filter(state="scheduled").count()
    tasks.dispatch_commands()

    assert (after_one_tick, agents.wakes) == (500, 1)
    assert Command.objects.filter(state="scheduled").count() == 501
