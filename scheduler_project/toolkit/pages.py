"""What the pages of all apps share: who may see them.

Invariant: a page answers only to a user of the role it needs; a person is sent to the login, a program gets a problem.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from scheduler_project.toolkit.access import Role, require, role_of
from scheduler_project.toolkit.errors import Denied, Unauthenticated
from scheduler_project.toolkit.events import settled_position
from scheduler_project.toolkit.http import authenticate, problem_of

View = Callable[..., Any]


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


def frame(request: HttpRequest) -> dict[str, Any]:
    """Django's context processor for the frame of our pages; each value is worked out when a template asks for it."""
    return {
        "role": lambda: role_of(request.user),
        "may_operate": lambda: role_of(request.user) >= Role.OPERATOR,
        "events_position": lambda: settled_position(timezone.now()),
    }
