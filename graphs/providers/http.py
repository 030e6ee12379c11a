"""Components that are HTTP calls, made by Celery workers on the queue `http`, at most one per attempt.

Invariant: only hosts of the list `hosts` are called, no redirect is followed, and a secret is in the request alone.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from graphs.core.calls import call_faults
from graphs.core.cancelling import Told
from graphs.providers.base import InFlight, Send
from graphs.providers.later import LaterProvider
from graphs.store.calling import withdraw_calls
from graphs.store.hints import hint_many
from graphs.store.offering import offers
from scheduler_project.toolkit.errors import Fault

QUEUE = "http"
TASK = "graphs.call_http"


class HttpProvider(LaterProvider):
    """`url`, and optionally `method`, `headers`, `body`, `expect`, `timeout_s`, `verify`, `callback`.

    Options: `hosts` that may be called, `body_max_bytes` of an answer, `allow_unverified` for `verify: false`.
    """

    supports_cancel = True

    def __init__(
        self, alias: str, hosts: Sequence[str] = (), body_max_bytes: int = 1024 * 1024, allow_unverified: bool = False
    ) -> None:
        super().__init__(alias)
        self.hosts = tuple(hosts)
        self.body_max_bytes = body_max_bytes
        self.allow_unverified = allow_unverified

    def faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        faults = call_faults(document, path, self.hosts)
        if document.get("verify") is False and not self.allow_unverified:
            why = "certificates are always verified here, as SCHEDULER_HTTP_UNVERIFIED is not set"
            faults.append(Fault(f"{path}.verify", why))
        if document.get("callback") is True and not settings.PUBLIC_URL:
            faults.append(Fault(f"{path}.callback", "needs SCHEDULER_PUBLIC_URL, the address that callbacks come to"))
        return faults

    def send_after_commit(self, sends: Sequence[tuple[Send, str]], now: datetime) -> None:
        hint_many(TASK, [(send.pk, send.attempt) for send, _ in sends], QUEUE)

    def cancel(self, unwanted: Sequence[InFlight], now: datetime, actor: str, told: Told) -> None:
        """What nobody has taken yet is never called; a call that was made cannot be taken back."""
        keys = [one.pk for one in unwanted if not one.handle]
        transaction.on_commit(lambda: withdraw_calls(keys, now), robust=True)

    def look_after(self, now: datetime) -> None:
        hint_many(TASK, offers(self.alias, now), QUEUE)
