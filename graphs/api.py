"""The app's HTTP API.

Invariant: nothing is decided here; requests become calls of `store`, rows become the shapes of `schemas`.
"""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from ninja import Header, Query, Router, Status

from graphs import export, queries, store
from graphs.core.diff import GROUP_TAG, GraphDiff, Rules, diff
from graphs.core.document import parse
from graphs.core.plan import GraphPlan, plan
from graphs.core.values import parse_json
from graphs.models import Graph
from graphs.providers import component_faults
from graphs.schemas import ComponentOut, DiffOut, GraphOut, GraphPage, PlanOut, TimelineOut
from graphs.timeline import timeline
from scheduler_project.toolkit.access import Role, require
from scheduler_project.toolkit.errors import Fault, InvalidDocument
from scheduler_project.toolkit.http import PAGE_SIZE_DEFAULT, page

router = Router(tags=["graphs"])
BODY_MAX_BYTES = 64 * 1024 * 1024
KEYS = uuid.UUID("6a1f4f0e-6f0c-5d0e-9a53-0d0c6d5f3a11")
MAPPING_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "description": "an ernest mapping"}}},
    }
}
DIFF_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["wanted"],
                    "properties": {
                        "wanted": {"type": "object", "description": "the mapping that is wanted"},
                        "against": {"description": "what exists: a mapping, the id of a graph, or nothing"},
                        "group_tag": {"type": "string", "default": GROUP_TAG},
                        "on_immutable": {"enum": ["refuse", "replace"], "default": "refuse"},
                    },
                }
            }
        },
    }
}


def mapping_in(request: HttpRequest) -> dict[str, Any]:
    """The mapping in a request's body. Raises InvalidDocument where it is too large or no JSON object."""
    body = request.read(BODY_MAX_BYTES + 1)
    if len(body) > BODY_MAX_BYTES:
        raise InvalidDocument([Fault("", f"larger than {BODY_MAX_BYTES} bytes; split the graph")])
    document = parse_json(body)
    if not isinstance(document, dict):
        raise InvalidDocument([Fault("", "the body must be a JSON object")])
    return document


def rules_in(body: Mapping[str, Any]) -> Rules:
    """The rules that a comparison asks for. Raises InvalidDocument."""
    group_tag, on_immutable = body.get("group_tag", GROUP_TAG), body.get("on_immutable", "refuse")
    faults = []
    if not isinstance(group_tag, str):
        faults.append(Fault("group_tag", "must be a string"))
    if on_immutable not in ("refuse", "replace"):
        faults.append(Fault("on_immutable", "is none of refuse, replace"))
    if faults:
        raise InvalidDocument(faults)
    return Rules(group_tag, replaces=on_immutable == "replace")


@router.post("/graphs", response={201: GraphOut}, openapi_extra=MAPPING_BODY, summary="Submit a mapping")
def submit_graph(request: HttpRequest, idempotency_key: Annotated[str, Header()] = "") -> Status[dict[str, Any]]:
    """The same mapping again gives the same graph; so does the same `Idempotency-Key` where there is no id."""
    require(request, Role.OPERATOR)
    document = mapping_in(request)
    if idempotency_key and not document.get("id"):
        document["id"] = str(uuid.uuid5(KEYS, idempotency_key))
    graph = store.submit(document, timezone.now(), source="http", actor=request.user.get_username())
    return Status(201, queries.summary(graph))


@router.post("/graphs/plan", response=PlanOut, openapi_extra=MAPPING_BODY, summary="What a mapping would do")
def plan_graph(request: HttpRequest) -> GraphPlan:
    """Checks a mapping and tells its order, its longest chain and what its templates will read. Nothing is stored."""
    return plan(parse(mapping_in(request), "plan", component_faults), queries.durations_s())


@router.post("/graphs/diff", response=DiffOut, by_alias=True, openapi_extra=DIFF_BODY, summary="Compare with wanted")
def diff_graph(request: HttpRequest) -> GraphDiff:
    """Compares a wanted mapping with what exists: another mapping, or a graph that has ended. Nothing is stored."""
    body = mapping_in(request)
    against = body.get("against")
    existing = export.existing(queries.graph_of(against)) if isinstance(against, str) else against
    found = diff(body.get("wanted"), existing, rules_in(body))
    parse(found.mapping, "diff", component_faults)
    return found


@router.get("/graphs", response=GraphPage, summary="List graphs")
def list_graphs(
    request: HttpRequest,
    state: Annotated[str, Query(description="only graphs in this state")] = "",
    name: Annotated[str, Query(description="only graphs with this in their name or id")] = "",
    source: Annotated[str, Query(description="only graphs that came this way: nats, http, cli, topology, graph")] = "",
    attention: Annotated[bool, Query(description="only graphs that need a person")] = False,
    cursor: Annotated[str, Query(description="the `next` of the page before")] = "",
    limit: Annotated[int, Query(description="rows per page, at most 1000")] = PAGE_SIZE_DEFAULT,
) -> dict[str, Any]:
    """Newest first."""
    rows = Graph.objects.select_related("parent").chosen(state, name, source, "yes" if attention else "")
    return page(rows, cursor, limit, queries.summary, key="serial")


@router.get("/graphs/{graph_id}", response=GraphOut, summary="One graph")
def get_graph(request: HttpRequest, graph_id: str) -> dict[str, Any]:
    """A graph in short."""
    return queries.summary(queries.graph_of(graph_id))


@router.get("/graphs/{graph_id}/mapping", response=dict[str, Any], summary="A graph as its mapping")
def get_mapping(request: HttpRequest, graph_id: str) -> HttpResponse:
    """The whole document in ernest's form, with states as they are now."""
    return JsonResponse(export.mapping(queries.graph_of(graph_id)), json_dumps_params={"ensure_ascii": False})


@router.get("/graphs/{graph_id}/components", response=list[ComponentOut], summary="A graph's components")
def get_components(request: HttpRequest, graph_id: str) -> list[dict[str, Any]]:
    """Its changes in the mapping's order."""
    return queries.components(queries.graph_of(graph_id))


@router.get("/graphs/{graph_id}/timeline", response=TimelineOut, summary="How a graph's run went in time")
def get_timeline(request: HttpRequest, graph_id: str) -> dict[str, Any]:
    """Since when each change waits, every attempt with its moments, and the chain that took until the end."""
    return timeline(queries.graph_of(graph_id), timezone.now())


@router.get("/graphs/{graph_id}/dot", summary="A graph as Graphviz text")
def get_dot(
    request: HttpRequest,
    graph_id: str,
    colour: Annotated[bool, Query(description="also nodes, coloured by their states")] = False,
) -> HttpResponse:
    """Its edges, labelled with verbs."""
    draw = export.coloured_graphviz if colour else export.graphviz
    return HttpResponse(draw(queries.graph_of(graph_id)), content_type="text/vnd.graphviz; charset=utf-8")
