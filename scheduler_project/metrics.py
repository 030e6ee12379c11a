"""The numbers of `/metrics`, read from the database at each scrape, in Prometheus' text format.

Invariant: every metric is a plain count of rows, so any web process gives the same answer.
"""

from collections import Counter
from collections.abc import Iterable

from django.db.models import Count, Max, Model
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from clusters.models import Task
from graphs.models import Graph
from scheduler_project.models import Event
from topologies.models import Run
from workers.core.envelope import REASONS
from workers.models import Command, RefusedMessages, Worker

COUNTED_BY_STATE: tuple[tuple[str, str, type[Model]], ...] = (
    ("scheduler_workers", "Hosts by state.", Worker),
    ("scheduler_commands", "Commands by state.", Command),
    ("scheduler_tasks", "Tasks of services by state.", Task),
    ("scheduler_graphs", "Graphs by state.", Graph),
    ("scheduler_runs", "Runs of topologies by state.", Run),
)


class DatabaseCollector(Collector):
    """Counts rows by state."""

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        for name, text, model in COUNTED_BY_STATE:
            yield by_state(name, text, model)
        yield refused_messages()
        yield CounterMetricFamily(
            "scheduler_events", "Events recorded since the start.", value=Event.objects.aggregate(n=Max("id"))["n"] or 0
        )


def by_state(name: str, text: str, model: type[Model]) -> Metric:
    """One gauge with the number of rows of each state that occurs."""
    family = GaugeMetricFamily(name, text, labels=["state"])
    rows = model._default_manager.order_by().values_list("state").annotate(n=Count("pk"))
    for state, count in rows:
        family.add_metric([state], count)
    return family


def refused_messages() -> Metric:
    """Messages without effect: those to control as control counted them, those to agents as agents said last."""
    text = "Messages between control and agents that had no effect, by direction and reason."
    family = CounterMetricFamily("scheduler_refused_messages", text, labels=["direction", "reason"])
    by_agents: Counter[str] = Counter()
    for counted in Worker.objects.exclude(refused_messages={}).values_list("refused_messages", flat=True):
        by_agents.update(counted)
    to_control = dict(RefusedMessages.objects.values_list("reason", "count"))
    for direction, counts in (("to_control", to_control), ("to_agent", by_agents)):
        for reason in REASONS:
            family.add_metric([direction, reason], counts.get(reason, 0))
    return family


def metrics_text() -> bytes:
    """All metrics as text."""
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    return generate_latest(registry)
