"""What the pages of all apps share: who may see them, and how long lists are turned over.

Invariant: a page answers only to a user of the role it needs; a person is sent to the login, a program gets a problem.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, TypeVar

from django.contrib.auth.views import redirect_to_login
from django.db import models
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from scheduler_project.toolkit.access import Role, require, role_of
from scheduler_project.toolkit.errors import Denied, Unauthenticated
from scheduler_project.toolkit.events import settled_position
from scheduler_project.toolkit.http import authenticate, problem_of

View = Callable[..., Any]
Row = TypeVar("Row", bound=models.Model)


def needs(role: Role) -> Callable[[View], View]:
    """Guards a view: its user must hold at least this role, by session or by bearer token."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                authenticate(request)
                require(request, role)
            except (Denied, Unauthenticated) as error:
                return refuse(request, error)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def refuse(request: HttpRequest, error: Denied | Unauthenticated) -> HttpResponseBase:
    """A page or the login for people, problem+json for programs."""
    if "text/html" not in request.headers.get("Accept", ""):
        return problem_of(error)
    if isinstance(error, Unauthenticated):
        return redirect_to_login(request.get_full_path())
    return render(request, "403.html", {"reason": str(error)}, status=error.http_status)


@dataclass(frozen=True)
class Leaf(Generic[Row]):
    """A part of a long list. `following` is the key to go on behind; empty at the end."""

    rows: list[Row]
    following: str


def newest(rows: "models.QuerySet[Row]", before: str, size: int, key: str = "pk") -> Leaf[Row]:
    """At most `size` rows, the newest by a unique field first, older than the one with the value `before` of it."""
    if before:
        rows = rows.filter(**{f"{key}__lt": before})
    return _leaf(list(rows.order_by(f"-{key}")[: size + 1]), key, size)


def in_order(rows: "models.QuerySet[Row]", key: str, after: str, size: int) -> Leaf[Row]:
    """At most `size` rows in the order of a unique field, behind its value `after`."""
    return _leaf(list(rows.filter(**{f"{key}__gt": after}).order_by(key)[: size + 1]), key, size)


def _leaf(found: list[Row], key: str, size: int) -> Leaf[Row]:
    more = len(found) > size
    return Leaf(found[:size], str(getattr(found[size - 1], key)) if more else "")


def frame(request: HttpRequest) -> dict[str, Any]:
    """Django's context processor for the frame of our pages; each value is worked out when a template asks for it."""
    return {
        "role": lambda: role_of(request.user),
        "may_operate": lambda: role_of(request.user) >= Role.OPERATOR,
        "may_administer": lambda: role_of(request.user) >= Role.ADMIN,
        "events_position": lambda: settled_position(timezone.now()),
    }
