"""Reads arrays: the commands that were submitted as one, each with an index of its own."""

from django.db.models import Count

from workers.core.states import COMMAND
from workers.models import Command


def array_counts(array_id: str) -> dict[str, int]:
    """How many commands of an array are in which state, every state named; in one query."""
    rows = Command.objects.filter(array_id=array_id).order_by().values_list("state").annotate(n=Count("id"))
    return dict.fromkeys(COMMAND.states, 0) | dict(rows)
