"""The outbox of cancels: connectors that are to be told that an attempt is not wanted any more.

Invariant: a notice is written with the wish itself and stays until it was published, so a crash never loses it; where a
bridge dies between the two it is heard twice. What was answered is not told, and what is being sent only afterwards.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from graphs.core.cancelling import is_unanswered
from graphs.models import Component, Notice
from graphs.providers.base import InFlight
from graphs.store.hints import hint_bridge
from scheduler_project.toolkit.bulk import insert_missing_rows

AGAIN_AFTER_S = 30
BATCH = 500


def leave_notices(unwanted: Sequence[InFlight], now: datetime) -> None:
    """Has a bridge tell the connectors of these attempts, once the surrounding transaction has committed."""
    insert_missing_rows([Notice(component_id=one.pk, attempt=one.attempt, tell_at=now) for one in unwanted])
    transaction.on_commit(hint_bridge)


def take_notices(now: datetime) -> list[Notice]:
    """Notices that the caller is to publish now, one batch; no other caller gets them for a while."""
    being_sent = Component.objects.changes().filter(state="running", sent_at__isnull=True)
    due = Notice.objects.filter(tell_at__lte=now).exclude(component__in=being_sent)
    if not due.exists():
        return []
    with transaction.atomic():
        free = due.select_related("component").order_by("tell_at", "id")
        if connection.features.has_select_for_update_skip_locked:
            free = free.select_for_update(of=("self",), skip_locked=True)
        found = list(free[:BATCH])
        later = now + timedelta(seconds=AGAIN_AFTER_S)
        Notice.objects.filter(pk__in=[one.pk for one in found]).update(tell_at=later)
    return found


def is_wanted(notice: Notice) -> bool:
    """Whether there is still somebody to tell: the same attempt, which nobody has answered."""
    row = notice.component
    return row.attempt == notice.attempt and is_unanswered(row.state, row.silent)


def forget_notices(notices: Sequence[Notice]) -> None:
    """These are published, or not needed any more."""
    Notice.objects.filter(pk__in=[one.pk for one in notices]).delete()
