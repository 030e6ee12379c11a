"""Pages of topologies: the list, one with its next fires and its runs, and the way from a run to its graph."""

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.pages import needs
from topologies.models import Run, Topology

FIRES_SHOWN = 5
RUNS_SHOWN = 50


@require_safe
@needs(Role.VIEWER)
def topologies(request: HttpRequest) -> HttpResponse:
    """All topologies, each with its last run."""
    return render(request, "topologies/topologies.html", {"topologies": with_last_runs(Topology.objects.present())})


@require_safe
@needs(Role.VIEWER)
def topology(request: HttpRequest, name: str) -> HttpResponse:
    """One topology with its next fires and its newest runs."""
    found = get_object_or_404(Topology.objects.present(), name=name)
    context = {
        "topology": found,
        "fires": found.trigger.upcoming(timezone.now(), FIRES_SHOWN) if found.state == "active" else [],
        "runs": found.runs.order_by("-id")[:RUNS_SHOWN],
        "limit": RUNS_SHOWN,
    }
    return render(request, "topologies/topology.html", context)


@require_safe
@needs(Role.VIEWER)
def run(request: HttpRequest, run_id: str) -> HttpResponse:
    """Leads to the run's graph, or to its topology where it has none."""
    found = get_object_or_404(Run.objects.select_related("topology"), pk=run_id)
    if found.graph_id:
        return redirect("graphs:graph", found.graph_id)
    return redirect("topologies:topology", found.topology.name)


def with_last_runs(rows: QuerySet[Topology]) -> list[tuple[Topology, Run | None]]:
    """Topologies with their newest runs, in two queries."""
    found = list(rows.with_last_run())  # type: ignore[attr-defined]
    runs = Run.objects.in_bulk([one.last_run_id for one in found if one.last_run_id])
    return [(one, runs.get(one.last_run_id)) for one in found]
