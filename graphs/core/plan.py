"""What a mapping would do, told before anything runs: counts, the order by level, the longest chain, what is read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from graphs.core.document import ComponentSpec, GraphSpec
from graphs.core.references import Reading

Kind = tuple[str, str, str]


@dataclass(frozen=True)
class CriticalPath:
    """The chain of changes that keeps the graph from ending sooner.

    `duration_s` is how long it is thought to take, by what such changes took before; None where nothing is known, and
    the chain is the one of most changes.
    """

    components: tuple[str, ...]
    duration_s: float | None


@dataclass(frozen=True)
class GraphPlan:
    """Changes still to be made, by verb, and in levels: all of one level may run at the same time.

    `done` counts the changes that are completed already and `in_flight` those whose replies are awaited.
    """

    counts_by_verb: dict[str, int]
    done: int
    in_flight: int
    levels: tuple[tuple[str, ...], ...]
    critical_path: CriticalPath
    templates: tuple[Reading, ...]


def plan(spec: GraphSpec, durations_s: Mapping[Kind, float] | None = None) -> GraphPlan:
    """The plan of a valid mapping. What is completed already is left out.

    `durations_s`: what changes of a kind (provider, type, verb) took before.
    """
    open_changes = {change.component_id: change for change in spec.changes if change.state != "completed"}
    order = [[name for name in level if name in open_changes] for level in spec.levels]
    return GraphPlan(
        counts_by_verb=dict(sorted(Counter(change.verb for change in open_changes.values()).items())),
        done=len(spec.changes) - len(open_changes),
        in_flight=sum(change.state == "running" for change in open_changes.values()),
        levels=tuple(tuple(level) for level in order if level),
        critical_path=critical_path(open_changes, spec.dependencies, order, durations_s or {}),
        templates=tuple(spec.readings),
    )


def critical_path(
    changes: Mapping[str, ComponentSpec],
    dependencies: Mapping[str, set[str]],
    order: Sequence[Sequence[str]],
    durations_s: Mapping[Kind, float],
) -> CriticalPath:
    """The longest chain through `changes`. A kind of unknown duration counts as the middle one of those known."""
    usual_s = median(durations_s.values()) if durations_s else 1.0
    ends_s: dict[str, float] = {}
    before: dict[str, str] = {}
    for name in chain.from_iterable(order):
        change = changes[name]
        own_s = durations_s.get((change.provider, change.type, change.verb), usual_s)
        needed = [one for one in dependencies[name] if one in ends_s]
        if needed:
            before[name] = max(needed, key=lambda one: (ends_s[one], one))
        ends_s[name] = own_s + (ends_s[before[name]] if needed else 0.0)
    if not ends_s:
        return CriticalPath((), None)
    last = max(ends_s, key=lambda one: ends_s[one])
    return CriticalPath(_chain_to(last, before), ends_s[last] if durations_s else None)


def _chain_to(last: str, before: Mapping[str, str]) -> tuple[str, ...]:
    found = [last]
    while found[-1] in before:
        found.append(before[found[-1]])
    return tuple(reversed(found))
