"""Wakes the processes that carry a graph on, over the broker. A lost hint is made good by the sweep."""

import logging
from collections.abc import Sequence

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

NATS_QUEUE = "nats"
EXPIRES_S = 30
log = logging.getLogger(__name__)


def advance_after_commit(graph_id: str) -> None:
    """Once the surrounding transaction has committed, lets what is ready in the graph be started."""
    transaction.on_commit(lambda: hint("graphs.advance", [graph_id]))


def hint_bridge() -> None:
    """Lets a bridge send what is ready for NATS and announce what has ended."""
    hint("graphs.publish_nats", queue=NATS_QUEUE)


def hint_many(task: str, calls: Sequence[Sequence[object]], queue: str) -> None:
    """Sends a task once for each tuple of arguments."""
    try:
        with current_app.producer_or_acquire() as producer:
            for args in calls:
                options = {"queue": queue, "expires": EXPIRES_S, "ignore_result": True, "producer": producer}
                current_app.send_task(task, args=list(args), **options)
    except OperationalError as error:
        log.warning("hint.lost task=%s messages=%d reason=%s", task, len(calls), error)


def hint(task: str, *args: object, queue: str | None = None) -> None:
    """Sends a task that the sweep would do anyway; says so in the log where the broker cannot be reached."""
    try:
        current_app.send_task(task, args=args, queue=queue, expires=EXPIRES_S, ignore_result=True)
    except OperationalError as error:
        log.warning("hint.lost task=%s reason=%s", task, error)
