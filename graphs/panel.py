"""What the panel of a component tells: why it stands as it does, its attempts, what went in and came out, what to do.

Invariant: secrets in documents are masked, and the number of queries does not depend on the size of the graph.
"""

import json
from typing import Any

from django.db.models import QuerySet

from graphs.core.dot import EXISTS
from graphs.core.nesting import GRAPH_PROVIDER
from graphs.core.states import COMPONENT
from graphs.holding import why
from graphs.models import Component, Graph, Part
from graphs.providers import provider
from graphs.queries import attempts
from graphs.store import DECISIONS
from scheduler_project.toolkit.masking import masked
from workers.models import Command
from workers.output import STREAMS, tail_of

TAIL_BYTES = 2048
CAUSES_SHOWN = 20


def panel(graph: Graph, row: Component) -> dict[str, Any]:
    """The template's context for one component; one that merely exists has no life to tell of."""
    told = {
        "graph": graph,
        "component": row,
        "state": row.state or EXISTS,
        "needs": named(Component.objects.filter(edges_out__destination=row)),
        "needed_by": named(Component.objects.filter(edges_in__source=row)),
        "document": shown(row.document),
    }
    return told if row.part == Part.EXISTS else told | _life(graph, row)


def _life(graph: Graph, row: Component) -> dict[str, Any]:
    open_question = row.state in ("waiting", "running")
    command = Command.objects.filter(pk=row.handle).first() if row.handle else None
    return {
        "why": why(graph, row.component_id) if open_question else None,
        "causes_shown": CAUSES_SHOWN,
        "attempts": [one | {"sent": one["sent"] and shown(one["sent"])} for one in attempts(row)[::-1]],
        "given": shown(row.given) if row.given is not None else "",
        "command": command,
        "tails": tails_of(command) if command else [],
        "child": row.handle if row.backend == GRAPH_PROVIDER else "",
        "asks_people": row.state == "running" and provider(row.backend).waits_for_people,
        "decisions": [verb for verb, outcome in DECISIONS.items() if COMPONENT.allows(row.state, outcome)],
        "may_retry": row.state in COMPONENT.final or row.needs_attention,
    }


def tails_of(command: Command) -> list[tuple[str, str]]:
    """The last that a command wrote to each stream to which it wrote at all."""
    tails = [(stream, tail_of(command.pk, stream, TAIL_BYTES)) for stream in STREAMS]
    return [(stream, tail.decode(errors="replace")) for stream, tail in tails if tail]


def shown(document: Any) -> str:
    """A document as a person reads it."""
    return json.dumps(masked(document), indent=2, ensure_ascii=False)


def named(rows: QuerySet[Component]) -> list[tuple[str, str]]:
    """Names and states alone, each once."""
    return list(rows.values_list("component_id", "state").distinct().order_by("component_id"))
