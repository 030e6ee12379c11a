"""Pages of graphs: the list, the drawing of one, and what is known of one component."""

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from graphs import queries
from graphs.core.dot import EXISTS
from graphs.core.states import COMPONENT, GRAPH
from graphs.drawing import drawing
from graphs.models import SOURCES, Circuit, Component, Graph
from graphs.panel import panel
from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.pages import needs, newest

GRAPHS_SHOWN = 50


@require_safe
@needs(Role.VIEWER)
def graphs(request: HttpRequest) -> HttpResponse:
    """Graphs, the newest first, chosen by state, words in their names, source, and whether they need somebody."""
    chosen = {name: request.GET.get(name, "") for name in ("state", "words", "source", "attention")}
    shown = Graph.objects.chosen(**chosen).select_related("parent")
    context = {
        **chosen,
        "leaf": newest(shown, request.GET.get("before", ""), GRAPHS_SHOWN, key="serial"),
        "states": GRAPH.states,
        "sources": SOURCES,
        "needing": Graph.objects.chosen(attention="yes").count(),
        "silent": Circuit.objects.order_by("provider"),
        "loads": queries.provider_loads(),
    }
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
