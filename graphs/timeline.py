"""How the run of a graph went in time, for its page and the API.

Invariant: the number of queries does not depend on the size of the graph, and no document is read.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from graphs.core.timeline import Ran, critical_path, ready_at
from graphs.models import Attempt, Component, Graph
from graphs.store.ending import needed_by

ROW = ("pk", "component_id", "state", "attempt", "started_at", "sent_at", "ended_at")
SPAN = ("component_id", "number", "outcome", "started_at", "sent_at", "ended_at")


def timeline(graph: Graph, now: datetime) -> dict[str, Any]:
    """Since when each change waits, the moments of every attempt, and the chain that took until the end."""
    rows = list(Component.objects.changes().filter(graph=graph).order_by("id").values(*ROW))
    kept: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in Attempt.objects.filter(component__graph=graph).order_by("number").values(*SPAN):
        kept[one.pop("component_id")].append(one)
    spans = {row["component_id"]: spans_of(row, kept.get(row["pk"], [])) for row in rows}
    ran = {name: ran_of(found) for name, found in spans.items()}
    needed = needed_by(graph)
    return {
        "started_at": graph.started_at,
        "ended_at": graph.ended_at,
        "components": [told(row, spans[row["component_id"]], ran, needed, graph.created_at) for row in rows],
        "critical_path": critical_path(ran, needed, now),
    }


def told(
    row: Mapping[str, Any],
    spans: Sequence[Mapping[str, Any]],
    ran: Mapping[str, Ran],
    needed: Mapping[str, Sequence[str]],
    since: datetime,
) -> dict[str, Any]:
    """One component's row."""
    name = row["component_id"]
    ready = ready_at(ran, needed.get(name, ()), since)
    return {"component_id": name, "state": row["state"], "ready_at": ready, "attempts": spans}


def spans_of(row: Mapping[str, Any], kept: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The attempts that were kept, and the one that only the component's own row tells."""
    if not row["attempt"] or (kept and kept[-1]["number"] == row["attempt"]):
        return list(kept)
    own = {key: row[key] for key in ("started_at", "sent_at", "ended_at")}
    return [*kept, {"number": row["attempt"], "outcome": row["state"], **own}]


def ran_of(spans: Sequence[Mapping[str, Any]]) -> Ran:
    """From the first attempt's start to the last one's end."""
    return Ran(spans[0]["started_at"], spans[-1]["ended_at"]) if spans else Ran(None, None)
