"""Applying files over HTTP."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema

from scheduler_project import manifest
from scheduler_project.toolkit.access import Role, require
from scheduler_project.toolkit.errors import InvalidDocument

router = Router(tags=["apply"])


class ChangeOut(Schema):
    """What applying means for one object."""

    kind: str
    name: str
    action: str
    detail: str


class OutcomeOut(Schema):
    """What applying means, object by object; `applied` is false where it was only planned."""

    changes: list[ChangeOut]
    applied: bool


@router.post("/apply", response=OutcomeOut)
def apply(request: HttpRequest, plan: bool = False) -> dict[str, Any]:
    """Makes things as a file says: the body is its text, YAML or JSON. `plan=1` only tells what would change."""
    require(request, Role.OPERATOR)
    sources = [manifest.Source("", request.body)]
    now = timezone.now()
    outcome = manifest.plan(sources, now) if plan else manifest.apply(sources, now, request.user.get_username())
    if outcome.faults:
        raise InvalidDocument([located.fault for located in outcome.faults])
    return {"changes": [asdict(change) for change in outcome.changes], "applied": not plan}
