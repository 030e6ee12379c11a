"""What every API router shares: authentication, problem+json (RFC 9457), paging by cursor.

Routers of the apps are plain; the roof's API sets authentication and the shape of errors for all of them.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import models
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from ninja import Schema
from ninja.utils import check_csrf

from scheduler_project.toolkit.access import user_of_token
from scheduler_project.toolkit.errors import Denied, Fault, InvalidDocument, SchedulerError

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
Row = TypeVar("Row", bound=models.Model)


def authenticate(request: HttpRequest) -> Any | None:
    """The request's user: by bearer token where one is sent, else by session (with Django's CSRF check)."""
    header = request.headers.get("Authorization", "")
    if header.lower().startswith("bearer "):
        user = user_of_token(header[7:].strip(), timezone.now())
        if user is not None:
            request.user = user
        return user
    if not request.user.is_authenticated:
        return None
    if request.method not in SAFE_METHODS and check_csrf(request) is not None:
        raise Denied("the CSRF token is missing or wrong; send X-CSRFToken, or use an API token")
    return request.user


def problem(status: int, code: str, detail: str, faults: list[dict[str, str]] | None = None) -> JsonResponse:
    """An error as `application/problem+json`; `errors` lists faults with their paths."""
    body: dict[str, Any] = {"type": f"about:blank#{code}", "title": code, "status": status, "detail": detail}
    if faults:
        body["errors"] = faults
    return JsonResponse(body, status=status, content_type="application/problem+json")


def problem_of(error: SchedulerError) -> JsonResponse:
    """The one mapping of our errors to HTTP."""
    faults = None
    if isinstance(error, InvalidDocument):
        faults = [{"path": fault.path, "message": fault.message} for fault in error.faults]
    return problem(error.http_status, error.code, str(error), faults)


class Page(Schema):
    """A part of a list; `next` is the cursor of the following part, empty at the end."""

    items: list[Any]
    next: str = ""


def page(
    rows: models.QuerySet[Row], cursor: str, limit: int, show: Callable[[Row], Any], key: str = "pk"
) -> dict[str, Any]:
    """One page of `rows`, newest key first, below `cursor`. Memory is bounded by `limit`, whatever the table's size."""
    limit = max(1, min(limit, PAGE_SIZE_MAX))
    if cursor:
        rows = rows.filter(**{f"{key}__lt": decode_cursor(cursor)})
    found = list(rows.order_by(f"-{key}")[: limit + 1])
    following = encode_cursor(getattr(found[limit - 1], key)) if len(found) > limit else ""
    return {"items": [show(row) for row in found[:limit]], "next": following}


def encode_cursor(value: object) -> str:
    return base64.urlsafe_b64encode(str(value).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Raises InvalidDocument for anything that `encode_cursor` did not make."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidDocument([Fault("cursor", "use the `next` value of the page before")]) from error
