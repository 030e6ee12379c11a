"""The root of the HTTP API, `/api/v1/`: the apps' routers under one authentication and one shape of errors."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError

from clusters.api import router as clusters_router
from graphs.api import router as graphs_router
from graphs.api_callbacks import router as callbacks_router
from graphs.api_life import router as graph_life_router
from scheduler_project.manifest_api import router as manifest_router
from scheduler_project.sse import router as events_router
from scheduler_project.toolkit.access import Role, require, role_of
from scheduler_project.toolkit.errors import Fault, InvalidDocument, SchedulerError, Unauthenticated
from scheduler_project.toolkit.http import authenticate, problem, problem_of
from scheduler_project.toolkit.pages import needs
from topologies.api import router as topologies_router
from workers.api import router as workers_router
from workers.api_arrays import router as arrays_router
from workers.api_trust import router as trust_router


def authenticate_reader(request: HttpRequest) -> Any | None:
    """Every route needs at least a viewer; routes that act ask for more themselves."""
    user = authenticate(request)
    if user is not None:
        require(request, Role.VIEWER)
    return user


api = NinjaAPI(
    title="Scheduler",
    version="1",
    description="Graphs, clusters, topologies and commands of one scheduler.",
    auth=authenticate_reader,
    urls_namespace="api",
    docs_decorator=needs(Role.VIEWER),
)
api.add_router("", events_router)
api.add_router("", workers_router)
api.add_router("", trust_router)
api.add_router("", arrays_router)
api.add_router("", graphs_router)
api.add_router("", graph_life_router)
api.add_router("", callbacks_router)
api.add_router("", clusters_router)
api.add_router("", topologies_router)
api.add_router("", manifest_router)


class WhoAmI(Schema):
    """The user whom a request's session or token stands for."""

    username: str
    role: str


@api.get("/whoami", response=WhoAmI, tags=["users"])
def whoami(request: HttpRequest) -> WhoAmI:
    """Who asks, and the highest role held."""
    return WhoAmI(username=request.user.get_username(), role=role_of(request.user).name.lower())


@api.exception_handler(SchedulerError)
def on_scheduler_error(request: HttpRequest, error: SchedulerError) -> HttpResponse:
    return problem_of(error)


@api.exception_handler(AuthenticationError)
def on_unauthenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return problem_of(Unauthenticated())


@api.exception_handler(ValidationError)
def on_invalid_request(request: HttpRequest, error: ValidationError) -> HttpResponse:
    faults = [Fault(path_of(one["loc"]), one["msg"]) for one in error.errors]
    return problem_of(InvalidDocument(faults))


def path_of(location: Sequence[str | int]) -> str:
    """`commands[0].argv` for a place in the body; `query.limit` for one elsewhere."""
    parts = location[2:] if location[0] == "body" and len(location) > 2 else location
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, "refused", str(error))
