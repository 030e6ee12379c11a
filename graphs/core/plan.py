"""What a mapping would do, told before anything runs: counts by verb and the order by level."""

from collections import Counter
from dataclasses import dataclass

from graphs.core.document import GraphSpec
from graphs.core.order import levels


@dataclass(frozen=True)
class GraphPlan:
    """Changes still to be made, by verb, and in levels: all of one level may run at the same time."""

    counts_by_verb: dict[str, int]
    levels: tuple[tuple[str, ...], ...]


def plan(spec: GraphSpec) -> GraphPlan:
    """The plan of a valid mapping. What is completed already is left out."""
    states = {change.component_id: change.state for change in spec.changes}
    order = [[name for name in level if states[name] != "completed"] for level in levels(spec.dependencies())]
    counts = Counter(change.verb for change in spec.changes if change.state != "completed")
    return GraphPlan(dict(sorted(counts.items())), tuple(tuple(level) for level in order if level))
