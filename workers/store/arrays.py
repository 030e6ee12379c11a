"""Cancels arrays.

Invariant: no transaction is larger than a batch, however large the array.
"""

from datetime import datetime

from workers.models import Command
from workers.store.commands import cancel
from workers.store.rows import BATCH_SIZE


def cancel_array(array_id: str, now: datetime, actor: str, reason: str) -> None:
    """Cancels the commands of an array that have not ended, the last first: none starts because another has left."""
    unfinished = Command.objects.unfinished().filter(array_id=array_id)
    ids = list(unfinished.order_by("-id").values_list("id", flat=True))
    for start in range(0, len(ids), BATCH_SIZE):
        cancel(ids[start : start + BATCH_SIZE], now, actor, reason)
