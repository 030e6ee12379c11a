"""The control side's end of a real broker, and a real agent at the other: no database is anywhere near."""

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from celery import Celery

from scheduler_project.celery_settings import celery_settings
from tests.support.processes import Process, Processes
from tests.support.trust import Signer, any_token, body_of
from tests.support.wait import wait_until
from workers.protocol import (
    ENROL_TASK,
    HEARTBEAT_QUEUE,
    HEARTBEAT_TASK,
    RECEIVE_TASK,
    REPORTS_TASK,
    Applied,
    Ended,
    Heartbeat,
    Order,
    Report,
    TaskState,
    decode_heartbeat,
    decode_reports,
)

Kind = TypeVar("Kind", bound=Report)
NO_DATABASE = "postgres://nowhere/x"
HOST = "host-w"


class Wire:
    """The control side's end of the broker: sends orders, reads the queues of control, and confirms."""

    def __init__(self, url: str, host: str = HOST, **variables: str) -> None:
        self.host = host
        self.app = Celery(set_as_current=False)
        self.app.conf.update(celery_settings({"BROKER_URL": url, **variables}))
        self.connection = self.app.connection_for_read()
        self.queues = [self.connection.SimpleQueue(name, no_ack=True) for name in ("control", HEARTBEAT_QUEUE)]
        for queue in self.queues:
            queue.clear()
        self.heartbeats: list[Heartbeat] = []
        self.reports: list[Report] = []
        self.signer = Signer(host)

    def order(self, *orders: Order) -> None:
        self.meet()
        self.send(self.signer.orders(orders))

    def send(self, envelope: str) -> None:
        self.app.send_task(RECEIVE_TASK, args=[envelope], queue=self.host)

    def meet(self) -> None:
        """Waits until the agent has enrolled, or is heard."""
        wait_until(self._met, 20, what="the agent to be heard")

    def _met(self) -> str:
        if not self.signer.worker_id:
            self.read()
        return self.signer.worker_id

    def read(self) -> None:
        """Takes in what has arrived."""
        for queue in self.queues:
            with suppress(queue.Empty):
                while True:
                    message = queue.get_nowait()
                    self._take(message.headers["task"], message.payload[0][0])

    def _take(self, task: str, text: str) -> None:
        if task == HEARTBEAT_TASK:
            self.heartbeats.append(decode_heartbeat(body_of(text)))
            self.signer.worker_id = self.heartbeats[-1].worker_id
        elif task == ENROL_TASK:
            self.send(self.signer.welcome(text))
        elif task == REPORTS_TASK:
            envelope = decode_reports(body_of(text))
            self.reports += [numbered.report for numbered in envelope.reports]
            self.order(Applied(session=envelope.session, seq=envelope.reports[-1].seq))

    def ended(self, unit: str) -> Ended:
        return wait_until(lambda: self.of(Ended, unit), 20, what=f"{unit} to end")[-1]

    def state(self, unit: str, state: str) -> TaskState:
        """The task's last report, once it tells this state."""
        return wait_until(
            lambda: [told for told in self.of(TaskState, unit)[-1:] if told.state == state],
            20,
            what=f"{unit} to be {state}",
        )[-1]

    def of(self, kind: type[Kind], unit: str) -> list[Kind]:
        self.read()
        return [report for report in self.reports if isinstance(report, kind) and report.unit == unit]

    def close(self) -> None:
        for queue in self.queues:
            queue.close()
        self.connection.close()
        self.app.close()


def start_agent(processes: Processes, broker_url: str, folder: Path, host: str = HOST, **variables: str) -> Process:
    """An agent that has only the broker."""
    return processes.worker(
        host,
        broker_url,
        DATABASE_URL=NO_DATABASE,
        SCHEDULER_DATA_DIR=str(folder / "data"),
        SCHEDULER_HEARTBEAT_INTERVAL_S="0.5",
        SCHEDULER_LABELS="zone=a",
        SCHEDULER_JOIN_TOKEN=any_token(),
        **variables,
    )
