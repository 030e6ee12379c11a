"""Base of providers whose components are handed to Celery: decided in the transaction, sent right after it.

Invariant: what is sent names one attempt of its component; what is not known to have been sent is found by the sweep.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from graphs.providers.base import Provider, Send


class LaterProvider(Provider):
    """Sends after commit, from whichever process claimed the components."""

    supports_transaction = True
    sends_after_commit = True

    def start(self, sends: Sequence[Send], now: datetime) -> Mapping[int, str]:
        handles = {send.pk: self.handle(send) for send in sends}
        paired = [(send, handles[send.pk]) for send in sends]
        transaction.on_commit(lambda: self.send_after_commit(paired, now), robust=True)
        return handles

    def handle(self, send: Send) -> str:
        """The provider's own id of an attempt; empty for none yet."""
        return ""

    def send_after_commit(self, sends: Sequence[tuple[Send, str]], now: datetime) -> None:
        """Hands components, each with its handle, over. What fails is made good by the sweep."""
        raise NotImplementedError
