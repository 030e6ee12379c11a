"""The Content-Security-Policy of all pages: nothing from other hosts, no inline script.

The admin's theme evaluates expressions in its attributes, so under /admin/ scripts of our own host may do that.
"""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

STRICT_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
ADMIN_POLICY = STRICT_POLICY + "; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
DOCS_POLICY = STRICT_POLICY + "; style-src 'self' 'unsafe-inline'"


def policy_for(path: str) -> str:
    """The strictest policy under which the page at this path works."""
    if path.startswith("/admin/"):
        return ADMIN_POLICY
    if path == "/api/v1/docs":
        return DOCS_POLICY
    return STRICT_POLICY


@sync_and_async_middleware
def content_security_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Adds the policy to every response."""

    def protect(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Security-Policy", policy_for(request.path))
        return response

    async def answer_async(request: HttpRequest) -> HttpResponse:
        waiting: Awaitable[HttpResponse] = get_response(request)
        return protect(request, await waiting)

    def answer(request: HttpRequest) -> HttpResponse:
        return protect(request, get_response(request))

    return answer_async if iscoroutinefunction(get_response) else answer
