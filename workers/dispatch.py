"""Publishes orders to hosts over the broker, in batches, after the transaction that decided them.

Invariant: a broker that is away fails no caller. What could not be sent is worked out again from the database by the
sweepers, so an order needs to live in a queue only until it would be repeated.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from celery import Celery, current_app
from django.db import DatabaseError, transaction
from kombu.exceptions import OperationalError

from workers.core.attention import ORDER_LIFE_S
from workers.models import Worker
from workers.protocol import RECEIVE_TASK, Order, Orders, chunks, encode

logger = logging.getLogger(__name__)
DISPATCH_TASK = "workers.dispatch_commands"
ORDERS_PER_MESSAGE = 500

WAKE_LIFE_S = 5
SEND_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


class Transport(Protocol):
    """The way to agents and to the dispatching task. The broker's, or a test's `FakeAgents`."""

    def send(self, orders: Mapping[str, Sequence[Order]]) -> None:
        """Gives each host its orders."""

    def wake(self) -> None:
        """Has pending commands placed now instead of at the next tick."""


class BrokerTransport:
    """Sends by Celery messages that expire, so that the queue of a host that never returns stays small."""

    def __init__(self, app: Celery = current_app) -> None:
        self._app = app

    def send(self, orders: Mapping[str, Sequence[Order]]) -> None:
        try:
            fences = fences_of(orders)
            with self._app.producer_pool.acquire(block=True) as producer:
                for host, batch in orders.items():
                    for part in chunks(batch, ORDERS_PER_MESSAGE):
                        self._send_part(producer, host, part, fences.get(host, 0))
        except (OperationalError, OSError, DatabaseError) as error:
            logger.warning("orders.not_sent hosts=%s error=%s", ",".join(orders), error)

    def wake(self) -> None:
        try:
            self._app.send_task(DISPATCH_TASK, expires=WAKE_LIFE_S, retry_policy=SEND_RETRY)
        except (OperationalError, OSError) as error:
            logger.warning("dispatch.not_woken error=%s", error)

    def _send_part(self, producer: object, host: str, part: list[Order], fence: int) -> None:
        envelope = Orders(host=host, sent_at=time.time(), orders=part, fence=fence)
        self._app.send_task(
            RECEIVE_TASK,
            args=[encode(envelope)],
            queue=host,
            producer=producer,
            expires=ORDER_LIFE_S,
            retry_policy=SEND_RETRY,
        )


def fences_of(hosts: Iterable[str]) -> dict[str, int]:
    """The fencing token of the session that holds each name."""
    return dict(Worker.objects.filter(name__in=list(hosts)).values_list("name", "fence"))


_transport: Transport = BrokerTransport()


def use_transport(transport: Transport) -> Transport:
    """Replaces the way to agents and returns the one before."""
    global _transport
    before, _transport = _transport, transport
    return before


def publish_after_commit(orders: Mapping[str, Sequence[Order]]) -> None:
    """Sends each host its orders once the transaction has committed; without one, at once."""
    if orders:
        transaction.on_commit(lambda: publish(orders))


def publish(orders: Mapping[str, Sequence[Order]]) -> None:
    """Sends now. A broker that is away is logged, never raised."""
    _transport.send(orders)


def wake_after_commit() -> None:
    """Has pending commands placed as soon as the transaction has committed."""
    transaction.on_commit(wake)


def wake() -> None:
    _transport.wake()
