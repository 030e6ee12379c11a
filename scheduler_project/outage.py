"""What is answered while the database is away: 503 at once, and again the real answer as soon as it is back."""

import logging

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from scheduler_project.toolkit.errors import Unavailable
from scheduler_project.toolkit.http import problem_of

log = logging.getLogger(__name__)
RETRY_AFTER_S = 5


class DatabaseAway(MiddlewareMixin):
    """Makes a page for people and problem+json for programs of a database that does not answer."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, OperationalError | InterfaceError):
            return None
        log.error("database.away path=%s reason=%s", request.path, str(error).partition("\n")[0])
        if "text/html" in request.headers.get("Accept", ""):
            answer = render(request, "503.html", status=Unavailable.http_status)
        else:
            answer = problem_of(Unavailable("the database does not answer now; try again in a few seconds"))
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
        return answer
