"""The HTTP API of a graph's life: to cancel, pause and resume it, and to decide about single components.

Invariant: nothing is decided here; requests become calls of `store`. A state that does not allow a call is a 409 that
names it.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from graphs import queries, store
from graphs.core.reopening import Reopening
from graphs.core.why import Why
from graphs.holding import why
from graphs.models import Circuit, Component, Graph
from graphs.schemas import (
    CircuitOut,
    CommentIn,
    ComponentInFull,
    GraphOut,
    MarkIn,
    ReopeningOut,
    WhyOut,
)
from scheduler_project.toolkit.access import Role, require, role_of

router = Router(tags=["graphs"])
Preview = Annotated[bool, Query(description="only tell what would be reset")]
TELL = "whether connectors on NATS are told too to stop what is in flight, or nobody; without it, our own providers are"
COMPONENT = "/graphs/{graph_id}/components/{path:component_id}"


def acted(request: HttpRequest, act: Callable[[str, datetime, str], Graph], graph_id: str) -> dict[str, Any]:
    """Calls a verb of the store for an operator."""
    require(request, Role.OPERATOR)
    return queries.summary(act(graph_id, timezone.now(), request.user.get_username()))


def in_full(row: Component) -> dict[str, Any]:
    """The component as the answer to a decision about it."""
    return queries.component_in_full(queries.graph_of(row.graph_id), row.component_id)


@router.post("/graphs/{graph_id}/cancel", response=GraphOut, summary="Cancel a graph")
def cancel_graph(
    request: HttpRequest,
    graph_id: str,
    tell: Annotated[bool | None, Query(description=TELL)] = None,
) -> dict[str, Any]:
    """Starts nothing more and ends when what is in flight has come back. Called again, it does not wait for that.

    Components whose rule is `always` are still carried out.
    """
    told = {None: store.Told.OURS, True: store.Told.EVERYBODY, False: store.Told.NOBODY}[tell]
    return acted(request, partial(store.cancel, told=told), graph_id)


@router.post("/graphs/{graph_id}/pause", response=GraphOut, summary="Pause a graph")
def pause_graph(request: HttpRequest, graph_id: str) -> dict[str, Any]:
    """Starts nothing new; what is in flight goes on, and so do its deadlines."""
    return acted(request, store.pause, graph_id)


@router.post("/graphs/{graph_id}/unpause", response=GraphOut, summary="Let a paused graph go on")
def unpause_graph(request: HttpRequest, graph_id: str) -> dict[str, Any]:
    """Starts what is ready again."""
    return acted(request, store.unpause, graph_id)


@router.post("/graphs/{graph_id}/resume", response=GraphOut | ReopeningOut, summary="Resume a graph")
def resume_graph(request: HttpRequest, graph_id: str, preview: Preview = False) -> dict[str, Any] | Reopening:
    """Does what failed, was cancelled or was skipped by the engine, as a new run; nothing completed is sent again."""
    if preview:
        return store.plan_resume(graph_id)
    return acted(request, store.resume_graph, graph_id)


@router.post(f"{COMPONENT}/retry", response=GraphOut | ReopeningOut, summary="Do a component again")
def retry_component(
    request: HttpRequest, graph_id: str, component_id: str, preview: Preview = False
) -> dict[str, Any] | Reopening:
    """Does a component and all that hangs from it again, whatever became of them."""
    if preview:
        return store.plan_retry(graph_id, component_id)
    require(request, Role.OPERATOR)
    actor = request.user.get_username()
    return queries.summary(store.retry_component(graph_id, component_id, timezone.now(), actor))


def marked(request: HttpRequest, graph_id: str, component_id: str, verb: str, why: str) -> dict[str, Any]:
    require(request, Role.OPERATOR)
    return in_full(store.mark(graph_id, component_id, verb, timezone.now(), request.user.get_username(), why))


@router.post(f"{COMPONENT}/skip", response=ComponentInFull, summary="Go on without a component")
def skip_component(request: HttpRequest, graph_id: str, component_id: str, body: MarkIn) -> dict[str, Any]:
    """Does not carry it out; what hangs from it goes on as if it were completed."""
    return marked(request, graph_id, component_id, "skip", body.reason)


@router.post(f"{COMPONENT}/complete", response=ComponentInFull, summary="Mark a component as completed")
def complete_component(request: HttpRequest, graph_id: str, component_id: str, body: MarkIn) -> dict[str, Any]:
    """Somebody has seen to it that it is done."""
    return marked(request, graph_id, component_id, "complete", body.reason)


@router.post(f"{COMPONENT}/fail", response=ComponentInFull, summary="Mark a component as failed")
def fail_component(request: HttpRequest, graph_id: str, component_id: str, body: MarkIn) -> dict[str, Any]:
    """Nothing more is awaited of it."""
    return marked(request, graph_id, component_id, "fail", body.reason)


@router.post(f"{COMPONENT}/approve", response=ComponentInFull, summary="Approve")
def approve_component(request: HttpRequest, graph_id: str, component_id: str, body: CommentIn) -> dict[str, Any]:
    """Completes a component that waits for an approval."""
    require(request, Role.OPERATOR)
    who = (request.user.get_username(), role_of(request.user))
    return in_full(store.approve(graph_id, component_id, timezone.now(), *who, body.comment))


@router.post(f"{COMPONENT}/reject", response=ComponentInFull, summary="Reject")
def reject_component(request: HttpRequest, graph_id: str, component_id: str, body: CommentIn) -> dict[str, Any]:
    """Fails a component that waits for an approval."""
    require(request, Role.OPERATOR)
    who = (request.user.get_username(), role_of(request.user))
    return in_full(store.reject(graph_id, component_id, timezone.now(), *who, body.comment))


@router.get(f"{COMPONENT}/why", response=WhyOut, summary="Why a component is not done")
def why_component(request: HttpRequest, graph_id: str, component_id: str) -> Why:
    """What it waits for, and the causes at the root of that."""
    return why(queries.graph_of(graph_id), component_id)


@router.get(COMPONENT, response=ComponentInFull, summary="One component of a graph")
def get_component(request: HttpRequest, graph_id: str, component_id: str) -> dict[str, Any]:
    """With its document, its attempts, and what hangs from it."""
    return queries.component_in_full(queries.graph_of(graph_id), component_id)


@router.get("/graph-providers/silent", response=list[CircuitOut], summary="Providers that do not answer")
def silent_providers(request: HttpRequest) -> list[Circuit]:
    """Those whose last attempts were not answered."""
    return list(Circuit.objects.order_by("provider"))


@router.post("/graph-providers/{provider}/reset", response={204: None}, summary="Send to a silent provider again")
def reset_provider(request: HttpRequest, provider: str) -> None:
    """Forgets that it was silent."""
    require(request, Role.OPERATOR)
    store.reset_circuit(provider, timezone.now(), request.user.get_username())
