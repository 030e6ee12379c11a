"""The attempts of HTTP components: each is taken by one worker, at most once, and settled by its answer or callback.

Until it is taken, an attempt may be offered any number of times; from then on nobody else makes the call.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import uuid_utils
from django.core import signing

from graphs.core.advance import Report
from graphs.core.calls import Outcome
from graphs.core.replies import Reply
from graphs.core.words import TIMEOUT_S_MAX
from graphs.models import Component
from graphs.store.moving import settle_replies
from graphs.store.times import deadline_of
from scheduler_project.toolkit.errors import Conflict, NotFound

SALT = "graphs.callback"
MARGIN_S = 30


def take_call(pk: int, attempt: int, timeout_s: float, now: datetime) -> bool:
    """Whether the caller, and nobody else, is to make the call of this attempt, within its time."""
    free = Component.objects.changes().filter(pk=pk, attempt=attempt, state="running", handle="")
    deadline_at = now + timedelta(seconds=timeout_s + MARGIN_S)
    values: dict[str, Any] = {"handle": str(uuid_utils.uuid7()), "sent_at": now, "resend_at": None}
    return bool(free.update(deadline_at=deadline_at, **values))


def withdraw_calls(pks: Sequence[int], now: datetime) -> None:
    """Takes the attempts of these components that nobody has taken, so that they are not made, and cancels them."""
    ours = f"withdrawn/{uuid_utils.uuid7()}"
    free = Component.objects.changes().filter(pk__in=pks, state="running", handle="")
    free.update(handle=ours, resend_at=None, deadline_at=now + timedelta(seconds=MARGIN_S))
    rows = Component.objects.changes().filter(handle=ours, state="running")
    why = "its graph was cancelled before the call was made"
    settle_replies(
        [Reply(row.graph_id, Report(row.component_id, "cancelled", why, row.attempt), {}) for row in rows], now
    )


def settle_call(row: Component, outcome: Outcome, now: datetime) -> None:
    """What an answer means for the attempt that `row` shows; one that awaits its callback gets its usual deadline."""
    if outcome.state == "awaiting":
        running = Component.objects.changes().filter(pk=row.pk, attempt=row.attempt, state="running")
        running.update(deadline_at=deadline_of(row))
        return
    report = Report(row.component_id, outcome.state, outcome.reason, row.attempt)
    settle_replies([Reply(row.graph_id, report, outcome.document)], now)


def call_row(pk: int, attempt: int) -> Component | None:
    """The component, while this attempt of it runs."""
    return Component.objects.changes().filter(pk=pk, attempt=attempt, state="running").first()


def callback_token(pk: int, attempt: int) -> str:
    """What lets its holder settle this attempt, once, without a login."""
    return signing.dumps([pk, attempt], salt=SALT)


def settle_callback(token: str, outcome: Outcome, now: datetime) -> Mapping[str, str]:
    """Settles the attempt of a token. Raises NotFound for a token of nobody, Conflict for one that has been used."""
    try:
        pk, attempt = signing.loads(token, salt=SALT, max_age=TIMEOUT_S_MAX)
    except signing.BadSignature as error:
        raise NotFound("there is no such callback") from error
    row = call_row(pk, attempt)
    if row is None:
        raise Conflict("this callback is not awaited any more")
    settle_call(row, outcome, now)
    return {"graph": row.graph_id, "component": row.component_id, "state": outcome.state}
