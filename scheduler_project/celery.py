"""The Celery app of the project: `celery -A scheduler_project worker|beat|flower`.

Invariant: a host agent's process never loads Django, so it runs where no database can be reached.
"""

import os
import sys
import uuid
import warnings
from typing import Any

from celery import Celery, signals
from celery.apps.worker import Worker
from celery.platforms import SecurityWarning

from scheduler_project import redis_transport
from scheduler_project.celery_settings import celery_settings
from scheduler_project.liveness import AliveStep
from scheduler_project.process import (
    CONTROL_QUEUE,
    ETCD_QUEUE,
    NATS_QUEUE,
    TASKS_QUEUE,
    host_from_argv,
    queues_from_argv,
)
from scheduler_project.toolkit import env
from scheduler_project.toolkit.errors import ConfigurationError
from scheduler_project.watchdog import WatchdogStep

TASKS_PER_DATABASE_CONNECTION = 1000
HOST = host_from_argv(sys.argv)
if HOST is None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
else:
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


class QuietWorker(Worker):
    """A Celery worker without chatter between workers, under a node name that no earlier start can still hold."""

    def __init__(self, app: Any = None, hostname: str | None = None, **options: Any) -> None:
        options["without_gossip"] = True
        options["without_mingle"] = True
        super().__init__(app=app, hostname=unique_node_name(hostname), **options)


def unique_node_name(hostname: str | None) -> str:
    """`<queue or given name>.<random>@<machine>`: RabbitMQ may hold the previous start's control queue locked."""
    given, _, machine = (hostname or "").partition("@")
    name = given if given not in ("", "celery") else "-".join(queues_from_argv(sys.argv) or ["worker"])
    return f"{name}.{uuid.uuid4().hex[:8]}@{machine or os.uname().nodename}"


class SchedulerCelery(Celery):
    """Celery with quiet workers."""

    @property
    def Worker(self) -> Any:  # noqa: N802  (Celery's name)
        return self.subclass_with_self(QuietWorker)


def settings_or_exit() -> dict[str, Any]:
    """Celery's settings; ends the process with one clear line where they cannot be used, not with a traceback."""
    try:
        return celery_settings(env.effective())
    except ConfigurationError as error:
        sys.exit(f"error: {error}")


def close_broken_connections(**_signal: Any) -> None:
    """Before each task: drops database connections that failed or are old, keeps the others."""
    from django.db import close_old_connections

    close_old_connections()


redis_transport.install()
app = SchedulerCelery("scheduler_project")
app.conf.update(settings_or_exit())
app.conf.worker_consumer = "scheduler_project.toolkit.refused:TellingConsumer"
app.steps["consumer"].add(AliveStep)
app.steps["worker"].add(WatchdogStep)

if HOST is None:
    from scheduler_project.clock import clock_settings

    app.conf.update(clock_settings(CONTROL_QUEUE))
    app.conf["CELERY_DB_REUSE_MAX"] = TASKS_PER_DATABASE_CONNECTION
    signals.task_prerun.connect(close_broken_connections)
    app.autodiscover_tasks()
    if CONTROL_QUEUE in queues_from_argv(sys.argv):
        from workers.heartbeats import HeartbeatStep

        app.steps["consumer"].add(HeartbeatStep)
    if NATS_QUEUE in queues_from_argv(sys.argv):
        from graphs.bridge import BridgeStep

        app.steps["worker"].add(BridgeStep)
    if TASKS_QUEUE in queues_from_argv(sys.argv):
        app.conf.imports = tuple(env.words("SCHEDULER_CELERY_IMPORTS", env.effective()))
    if ETCD_QUEUE in queues_from_argv(sys.argv):
        from workers.bridge import EtcdStep

        app.steps["worker"].add(EtcdStep)
else:
    from workers.agent.step import AgentStep

    app.conf.imports = ("workers.agent.tasks",)
    app.conf.worker_concurrency = 1
    app.conf.worker_enable_remote_control = False  # its commands are not signed, and it holds three connections
    app.steps["worker"].add(AgentStep)
    warnings.filterwarnings("ignore", category=SecurityWarning)  # an agent may well be root; only JSON is accepted
