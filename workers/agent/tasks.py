"""The one Celery task of a host agent."""

import logging

from celery import shared_task

from workers.agent.core.holding import NameLost
from workers.agent.step import running_agent
from workers.protocol import RECEIVE_TASK, UnreadableEnvelope, decode_orders

log = logging.getLogger(__name__)


@shared_task(name=RECEIVE_TASK)
def receive(envelope: str) -> None:
    """Hands orders to the agent; acknowledged when they are in its journal, or on their way to a newer one."""
    try:
        orders = decode_orders(envelope)
    except UnreadableEnvelope as error:
        log.warning("orders.unreadable reason=%s", error)
        return
    try:
        running_agent().receive(orders)
    except NameLost:
        request = receive.request
        receive.apply_async(args=[envelope], queue=request.delivery_info["routing_key"], expires=request.expires)
