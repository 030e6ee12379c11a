"""A real control worker behind a real broker: what an agent on the wire sees and causes."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from django.utils import timezone

from tests.support.processes import Processes
from tests.support.servers import ValkeyServer
from tests.support.trust import body_of, enrolled, sealed
from tests.support.wait import wait_until
from workers import dispatch, store
from workers.core.commands import NewCommand
from workers.models import Command, Worker
from workers.protocol import (
    HEARTBEAT_QUEUE,
    HEARTBEAT_TASK,
    REPORTS_TASK,
    Applied,
    Ended,
    Heartbeat,
    Numbered,
    Order,
    Output,
    Reports,
    RunCommand,
    Started,
    decode_orders,
    encode,
)

pytestmark = pytest.mark.django_db(transaction=True)
HOST = "host-wire"
SESSION = "s1"
WORKER = "w"


class WireAgent:
    """The far end of the protocol: sends envelopes to the control queue and reads the host's queue."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection = app.connection_for_read()
        self._queue = self._connection.SimpleQueue(HOST)

    def beat(self) -> None:
        heartbeat = Heartbeat(
            host=HOST, worker_id=WORKER, session=SESSION, started_at=1, sent_at=1, version="1", address="here"
        )
        self._send(HEARTBEAT_TASK, encode(heartbeat), queue=HEARTBEAT_QUEUE)

    def report(self, *reports: Any) -> None:
        numbered = [Numbered(number, report) for number, report in enumerate(reports, 1)]
        envelope = Reports(host=HOST, session=SESSION, sent_at=1, reports=numbered)
        self._send(REPORTS_TASK, encode(envelope))

    def _send(self, task: str, body: str, **options: str) -> None:
        self._app.send_task(task, args=[sealed(HOST, task, body)], **options)

    def next_order(self, kind: type[Any]) -> Any:
        """The next order of a kind; those of other kinds before it are passed over."""
        while True:
            message = self._queue.get(timeout=20)
            message.ack()
            found: list[Order] = [
                order for order in decode_orders(body_of(message.payload[0][0])).orders if type(order) is kind
            ]
            if found:
                return found[0]

    def close(self) -> None:
        self._queue.close()
        self._connection.release()
        self._app.close()


@pytest.fixture
def wire(database_url: str, processes: Processes, valkey_server: ValkeyServer) -> Iterator[WireAgent]:
    """An agent's end of the wire to a control worker that runs."""
    valkey_server.flush()
    enrolled(HOST, WORKER)
    processes.worker("control", valkey_server.url, DATABASE_URL=database_url)
    app = Celery("test", broker=valkey_server.url, set_as_current=False)
    app.conf.task_default_queue = "control"
    before = dispatch.use_transport(dispatch.BrokerTransport(app))
    agent = WireAgent(app)
    yield agent
    dispatch.use_transport(before)
    agent.close()


def test_a_command_goes_to_the_agent_at_once_and_its_end_comes_back(wire: WireAgent) -> None:
    wire.beat()
    wait_until(Worker.objects.connected().exists, 30, what="the worker is connected")
    (command,) = store.submit([NewCommand(argv=["echo", "hi"])], timezone.now())

    order = wire.next_order(RunCommand)
    stated: dict[str, Any] = {"unit": order.unit, "attempt": order.attempt}
    wire.report(
        Started(**stated, at=2, pid=1),
        Output(**stated, stream="stdout", offset=0, data=b"hi\n"),
        Ended(**stated, at=3, exit_code=0, stdout_bytes=3),
    )
    applied = wire.next_order(Applied)

    assert order.argv == ["echo", "hi"]
    assert (applied.session, applied.seq) == (SESSION, 3)
    assert Command.objects.get(id=command.id).state == "done"
    assert store.output_of(command.id, "stdout") == b"hi\n"
