"""Celery's side of the agent: it lives as long as the worker, and sends through the worker's connections."""

import logging
from typing import Any

from celery import Celery, bootsteps
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError

from scheduler_project.toolkit import env
from scheduler_project.toolkit.errors import ConfigurationError
from scheduler_project.toolkit.refused import tell
from scheduler_project.toolkit.worker import EXIT_FAILED, end_worker
from workers.agent.config import AgentConfig, agent_config
from workers.agent.facts import own_address
from workers.agent.reporter import Publish, Unpublished
from workers.agent.runtime import AgentRuntime
from workers.protocol import ENROL_TASK, HEARTBEAT_QUEUE, HEARTBEAT_TASK, REPORTS_TASK

log = logging.getLogger(__name__)

RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
_running: list[AgentRuntime] = []


def running_agent() -> AgentRuntime:
    """The agent of this process. Raises LookupError outside of a host agent."""
    if not _running:
        raise LookupError("no agent runs in this process")
    return _running[0]


class AgentStep(bootsteps.StartStopStep):
    """Starts the agent before the worker consumes, stops it after the last order is carried in."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._agent: AgentRuntime | None = None

    def start(self, parent: Any) -> None:
        """Raises SystemExit, after one clear line, when the configuration cannot be used."""
        try:
            config = agent_config(host_of(parent.app), env.effective())
            self._agent = AgentRuntime(addressed(config, parent.app), publisher(parent.app), end_worker)
        except ConfigurationError as error:
            log.critical("agent.unusable %s", error)
            raise SystemExit(EXIT_FAILED) from error
        tell(self._refuse)
        self._agent.start()
        _running.append(self._agent)

    def stop(self, parent: Any) -> None:
        if self._agent is not None and self._agent in _running:
            _running.remove(self._agent)
            self._agent.stop()

    terminate = stop

    def _refuse(self, exc: Exception | None = None, **_signal: Any) -> None:
        if self._agent is not None:
            self._agent.refuse(str(exc or "it is no task"))


def host_of(app: Celery) -> str:
    """The host's name: that of the queue which this worker consumes."""
    return next(iter(app.amqp.queues.consume_from))


def addressed(config: AgentConfig, app: Celery) -> AgentConfig:
    """The configuration with the host's address filled in."""
    return config if config.address else config.at(own_address(app.conf.broker_url))


def publisher(app: Celery) -> Publish:
    """Sends to control by the app's connections; a connection that broke is opened again once."""
    control = app.conf.task_default_queue
    queues = {HEARTBEAT_TASK: HEARTBEAT_QUEUE, REPORTS_TASK: control, ENROL_TASK: control}
    connection = app.connection_for_write()
    errors = (*connection.connection_errors, *connection.channel_errors, KombuError, CeleryError, OSError)

    def publish(task: str, text: str, expires_s: float) -> None:
        try:
            options = {"expires": expires_s, "retry": True, "retry_policy": RETRY_POLICY}
            app.send_task(task, args=[text], **options, **destination(app, queues[task]))
        except errors as error:
            raise Unpublished(str(error) or type(error).__name__) from error

    return publish


def destination(app: Celery, queue: str) -> dict[str, Any]:
    """The options that send a message to a queue.

    On RabbitMQ by the exchange of the same name, undeclared, so that a host's user needs rights to no other queue and
    none to read that one; elsewhere by the queue's name, since a binding there does not outlive a flush of the broker.
    """
    if app.conf.broker_url.startswith("amqp"):
        return {"exchange": queue, "routing_key": queue, "declare": []}
    return {"queue": queue}
