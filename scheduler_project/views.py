"""The pages and probes that belong to no single app."""

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from scheduler_project.metrics import metrics_text
from scheduler_project.overview import overview
from scheduler_project.readiness import readiness
from scheduler_project.toolkit.access import Role, role_of
from scheduler_project.toolkit.http import authenticate
from scheduler_project.toolkit.pages import needs


@require_safe
@needs(Role.VIEWER)
def home(request: HttpRequest) -> HttpResponse:
    """The state of everything on one page."""
    return render(request, "home.html", overview(timezone.now()))


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when every part is ready, else 503. Which parts is told to all, what is wrong with them to viewers."""
    answer = readiness(timezone.now())
    if not may_see_details(request):
        for check in answer["checks"]:
            del check["detail"]
    return JsonResponse(answer, status=200 if answer["ready"] else 503)


def may_see_details(request: HttpRequest) -> bool:
    """A viewer asks; nobody is one while the database cannot say so."""
    try:
        authenticate(request)
        return role_of(request.user) >= Role.VIEWER
    except DatabaseError:
        return False


@require_safe
@needs(Role.VIEWER)
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' numbers."""
    return HttpResponse(metrics_text(), content_type=CONTENT_TYPE_LATEST)
