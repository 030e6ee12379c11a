"""Tells of the messages that Celery itself refuses: pickle, YAML, an unknown task, what is no message at all.

Invariant: each is told of once, whichever of Celery's ways to refuse it took, and nothing of it was loaded.
"""

from collections.abc import Callable
from typing import Any

from celery import signals
from celery.worker.consumer import Consumer

Refused = Callable[..., None]


class TellingConsumer(Consumer):
    """Celery's own, which tells of what it cannot decode as of the others that it rejects."""

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        super().on_decode_error(message, exc)
        signals.task_rejected.send(sender=self, message=message, exc=exc)


def tell(receiver: Refused) -> None:
    """Calls the receiver, for as long as something else holds it, with what Celery's signals say of each message."""
    for signal in (signals.task_rejected, signals.task_unknown):
        signal.connect(receiver)
