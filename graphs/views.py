"""Pages of graphs: the list, the drawing of one, and what is known of one component."""

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from graphs.core.dot import EXISTS
from graphs.core.states import COMPONENT, GRAPH
from graphs.drawing import drawing
from graphs.models import Component, Graph
from graphs.panel import panel
from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.pages import needs

GRAPHS_SHOWN = 100


@require_safe
@needs(Role.VIEWER)
def graphs(request: HttpRequest) -> HttpResponse:
    """The newest graphs, of one state where it is asked for."""
    state = request.GET.get("state", "")
    shown = Graph.objects.all()
    if state in GRAPH.states:
        shown = shown.filter(state=state)
    context = {"graphs": shown[:GRAPHS_SHOWN], "states": GRAPH.states, "state": state, "limit": GRAPHS_SHOWN}
    return render(request, "graphs/graphs.html", context)


@require_safe
@needs(Role.VIEWER)
def graph(request: HttpRequest, graph_id: str) -> HttpResponse:
    """One graph; its page draws what `graph_drawing` tells."""
    found = get_object_or_404(Graph.objects.select_related("parent"), pk=graph_id)
    states = (*COMPONENT.states, EXISTS)
    return render(request, "graphs/graph.html", {"graph": found, "states": states, "final": found.state in GRAPH.final})


@require_safe
@needs(Role.VIEWER)
def graph_drawing(request: HttpRequest, graph_id: str) -> JsonResponse:
    """The graph as data, for its page."""
    return JsonResponse(drawing(get_object_or_404(Graph, pk=graph_id)))


@require_safe
@needs(Role.VIEWER)
def component(request: HttpRequest, graph_id: str) -> HttpResponse:
    """The part of the graph's page that tells of the component `?id=`; secrets in its document are masked."""
    rows = Component.objects.select_related("graph").filter(graph_id=graph_id, component_id=request.GET.get("id", ""))
    found = rows.order_by("part").first()  # what is to be done, before what exists
    if found is None:
        raise Http404
    return render(request, "graphs/_component.html", panel(found.graph, found))
