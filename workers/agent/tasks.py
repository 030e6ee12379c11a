"""The one Celery task of a host agent."""

import logging

from celery import shared_task
from celery.exceptions import Reject

from workers.agent.core.holding import NameLost
from workers.agent.step import running_agent
from workers.protocol import RECEIVE_TASK, UnreadableEnvelope, decode_orders

log = logging.getLogger(__name__)


@shared_task(name=RECEIVE_TASK)
def receive(envelope: str) -> None:
    """Hands orders to the agent; acknowledged when they are in its journal, left to a newer agent of the name."""
    try:
        orders = decode_orders(envelope)
    except UnreadableEnvelope as error:
        log.warning("orders.unreadable reason=%s", error)
        return
    try:
        running_agent().receive(orders)
    except NameLost as lost:
        raise Reject(str(lost), requeue=True) from lost
