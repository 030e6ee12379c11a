"""Counts what `/metrics` tells, by a control worker and not by whoever asks.

Invariant: each count is made anew only when it is older than `FRESH_S` and than `COST_FACTOR` times what it cost, so
counting takes a bounded share of the database however large the tables grow.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.db.models import Count, Model

from clusters.models import Task
from graphs.models import Graph
from scheduler_project.models import Counted
from topologies.models import Run
from workers.models import Command, Worker

FRESH_S = 5.0
COST_FACTOR = 200
REFUSED_BY_AGENTS = "refused_by_agents"
BY_STATE: Mapping[str, type[Model]] = {
    "scheduler_workers": Worker,
    "scheduler_commands": Command,
    "scheduler_tasks": Task,
    "scheduler_graphs": Graph,
    "scheduler_runs": Run,
}


def count_due(now: datetime, stopwatch: Callable[[], float] = time.perf_counter) -> None:
    """Makes the counts anew that are old enough. `stopwatch` gives seconds."""
    known = {one.name: one for one in Counted.objects.all()}
    for name in (*BY_STATE, REFUSED_BY_AGENTS):
        last = known.get(name)
        if last is not None and now - last.at < timedelta(seconds=max(FRESH_S, COST_FACTOR * last.took_s)):
            continue
        began_s = stopwatch()
        counts = refused_by_agents() if name == REFUSED_BY_AGENTS else by_state(BY_STATE[name])
        values = {"at": now, "took_s": stopwatch() - began_s, "counts": counts}
        Counted.objects.update_or_create(name=name, defaults=values)


def by_state(model: type[Model]) -> dict[str, int]:
    """The number of rows of each state that occurs."""
    rows = model._default_manager.order_by().values_list("state").annotate(n=Count("pk"))
    return dict(rows)


def refused_by_agents() -> dict[str, int]:
    """Messages to agents that had no effect, by reason, as agents said last."""
    total: Counter[str] = Counter()
    for counted in Worker.objects.exclude(refused_messages={}).values_list("refused_messages", flat=True):
        total.update(counted)
    return dict(total)
