"""Publishes orders to hosts over the broker, signed and in batches, after the transaction that decided them.

Invariant: a host whose key is revoked, or that has none, is sent nothing; a broker that is away fails no caller. What
could not be sent is worked out again from the database by the sweepers, so an order needs to live in a queue only until
it would be repeated.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from celery import Celery, current_app
from django.db import DatabaseError, transaction
from kombu.exceptions import OperationalError

from workers import keys
from workers.core.attention import ORDER_LIFE_S
from workers.core.envelope import CONTROL, Route, seal
from workers.protocol import RECEIVE_TASK, Order, Orders, chunks, encode

logger = logging.getLogger(__name__)
DISPATCH_TASK = "workers.dispatch_commands"
ORDERS_PER_MESSAGE = 500

WAKE_LIFE_S = 5
SEND_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}


class Transport(Protocol):
    """The way to agents and to the dispatching task. The broker's, or a test's `FakeAgents`."""

    def send(self, orders: Mapping[str, Sequence[Order]]) -> None:
        """Gives each enrolled host its orders."""

    def tell(self, audience: str, order: Order) -> None:
        """Answers an agent that need not be enrolled. `audience` is as `envelope.audience_of` makes it."""

    def wake(self) -> None:
        """Has pending commands placed now instead of at the next tick."""


class BrokerTransport:
    """Sends by Celery messages that expire, so that the queue of a host that never returns stays small."""

    def __init__(self, app: Celery = current_app) -> None:
        self._app = app

    def send(self, orders: Mapping[str, Sequence[Order]]) -> None:
        try:
            addresses = keys.addresses(orders)
        except DatabaseError as error:
            logger.warning("orders.not_sent hosts=%s error=%s", ",".join(orders), error)
            return
        unknown = sorted(set(orders) - set(addresses))
        if unknown:
            logger.warning("orders.not_sent hosts=%s error=they have no key that counts", ",".join(unknown))
        self._send([(to.audience, to.fence, orders[host]) for host, to in addresses.items()])

    def tell(self, audience: str, order: Order) -> None:
        self._send([(audience, 0, [order])])

    def wake(self) -> None:
        try:
            self._app.send_task(DISPATCH_TASK, expires=WAKE_LIFE_S, retry_policy=SEND_RETRY)
        except (OperationalError, OSError) as error:
            logger.warning("dispatch.not_woken error=%s", error)

    def _send(self, batches: Sequence[tuple[str, int, Sequence[Order]]]) -> None:
        try:
            with self._app.producer_pool.acquire(block=True) as producer:
                for audience, fence, orders in batches:
                    for part in chunks(orders, ORDERS_PER_MESSAGE):
                        self._send_part(producer, audience, part, fence)
        except (OperationalError, OSError) as error:
            to = ",".join(audience for audience, _, _ in batches)
            logger.warning("orders.not_sent to=%s error=%s", to, error)

    def _send_part(self, producer: object, audience: str, part: list[Order], fence: int) -> None:
        host, now = audience.partition("/")[0], time.time()
        body = encode(Orders(host=host, sent_at=now, orders=part, fence=fence))
        route = Route(CONTROL, audience, RECEIVE_TASK)
        self._app.send_task(
            RECEIVE_TASK,
            args=[seal(body, route, keys.own_key(), now, ORDER_LIFE_S, uuid.uuid4().hex)],
            queue=host,
            producer=producer,
            expires=ORDER_LIFE_S,
            retry_policy=SEND_RETRY,
        )


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
    """Sends now, or with the rest of what is sent together. A broker that is away is logged, never raised."""
    if _open.sending is None:
        _transport.send(orders)
    else:
        _open.sending.add(orders)


def tell_after_commit(audience: str, order: Order) -> None:
    """Answers one agent once the transaction has committed."""
    transaction.on_commit(lambda: _transport.tell(audience, order))


def wake_after_commit() -> None:
    """Has pending commands placed as soon as the transaction has committed."""
    transaction.on_commit(wake)


def wake() -> None:
    if _open.sending is None:
        _transport.wake()
    else:
        _open.sending.woken = True


class Sending:
    """What one thread sends together: one message to each host instead of several, and one wake."""

    def __init__(self) -> None:
        self._orders: dict[str, list[Order]] = {}
        self.woken = False

    def add(self, orders: Mapping[str, Sequence[Order]]) -> None:
        for host, more in orders.items():
            self._orders.setdefault(host, []).extend(more)

    def take_wake(self) -> bool:
        """Whether pending commands were to be placed; whoever asks does it."""
        woken, self.woken = self.woken, False
        return woken

    def go(self) -> None:
        """Sends all."""
        if self._orders:
            _transport.send(self._orders)
        if self.woken:
            _transport.wake()


class _Open(threading.local):
    sending: Sending | None = None


_open = _Open()


@contextmanager
def together() -> Iterator[Sending]:
    """What this thread sends within leaves at the end, also where that is an error: it tells of what was committed."""
    sending = _open.sending = Sending()
    try:
        yield sending
    finally:
        _open.sending = None
        sending.go()
