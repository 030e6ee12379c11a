"""The one Celery task of a host agent."""

from celery import shared_task

from workers.agent.core.holding import NameLost
from workers.agent.step import destination, running_agent
from workers.protocol import RECEIVE_TASK


@shared_task(name=RECEIVE_TASK)
def receive(envelope: str) -> None:
    """Hands orders to the agent; acknowledged when in its journal, refused, or on their way to a newer agent."""
    try:
        running_agent().receive(envelope)
    except NameLost:
        request = receive.request
        options = destination(receive.app, request.delivery_info["routing_key"])
        receive.apply_async(args=[envelope], expires=request.expires, **options)
