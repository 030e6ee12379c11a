"""Publishes orders to hosts over the broker, in batches, after the transaction that decided them."""

import time
from collections.abc import Mapping, Sequence

from celery import current_app
from django.db import transaction

from workers.protocol import RECEIVE_TASK, Order, Orders, chunks, encode

ORDERS_PER_MESSAGE = 500


def publish_after_commit(orders: Mapping[str, Sequence[Order]]) -> None:
    """Sends each host its orders once the transaction has committed; without one, at once."""
    transaction.on_commit(lambda: publish(orders))


def publish(orders: Mapping[str, Sequence[Order]]) -> None:
    """Sends now. Raises kombu's OperationalError where the broker cannot be reached."""
    with current_app.producer_pool.acquire(block=True) as producer:
        for host, batch in orders.items():
            for part in chunks(batch, ORDERS_PER_MESSAGE):
                envelope = Orders(host=host, sent_at=time.time(), orders=part)
                current_app.send_task(RECEIVE_TASK, args=[encode(envelope)], queue=host, producer=producer)
