"""Arrays over HTTP: how far one has come, and its end at once. Its commands are those of `/commands?array=`."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from scheduler_project.toolkit.access import Role, require
from scheduler_project.toolkit.errors import NotFound
from workers import store
from workers.arrays import array_counts

router = Router()


class ArrayOut(Schema):
    """An array and how many of its commands are in which state."""

    id: str
    counts: dict[str, int] = Field(examples=[{"pending": 90, "running": 10, "done": 0}])


@router.get("/arrays/{array_id}", response=ArrayOut, tags=["commands"])
def get_array(request: HttpRequest, array_id: str) -> dict[str, Any]:
    """How many commands of an array are in which state."""
    return _shown(array_id)


@router.post("/arrays/{array_id}/cancel", response=ArrayOut, tags=["commands"])
def cancel_array(request: HttpRequest, array_id: str) -> dict[str, Any]:
    """Asks for all commands of an array to be stopped. Those that have ended stay as they are."""
    require(request, Role.OPERATOR)
    _shown(array_id)
    actor = str(request.user.get_username())
    store.cancel_array(array_id, timezone.now(), actor, f"cancelled by {actor}")
    return _shown(array_id)


def _shown(array_id: str) -> dict[str, Any]:
    counts = array_counts(array_id)
    if not any(counts.values()):
        raise NotFound(f"there is no array {array_id}")
    return {"id": array_id, "counts": counts}
