"""Base of providers whose components are handed to Celery: decided in the transaction, sent right after it.

Invariant: what is sent names the component and its attempt; what is not known to have been sent is found by the sweep.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from graphs.providers.base import Provider, Send


class LaterProvider(Provider):
    """Sends after commit, from whichever process claimed the components; `send` may fail, and is made good later."""

    supports_transaction = True
    sends_after_commit = True

    def start(self, sends: Sequence[Send], now: datetime) -> Mapping[int, str]:
        transaction.on_commit(lambda: self.send(sends, now), robust=True)
        return {send.pk: self.handle(send) for send in sends}

    def handle(self, send: Send) -> str:
        """The provider's own id of an attempt; empty for none."""
        return ""

    def send(self, sends: Sequence[Send], now: datetime) -> None:
        """Hands components over. Raises nothing that the caller could mend."""
        raise NotImplementedError
