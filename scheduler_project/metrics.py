"""The numbers of `/metrics`, in Prometheus' text format.

Invariant: a scrape costs the same few queries, and reads the same few rows, however much there is: what must be counted
was counted by `scheduler_project.counting`. Every web process gives the same answer.
"""

from collections.abc import Iterable

from django.db.models import Max
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from scheduler_project.counting import REFUSED_BY_AGENTS
from scheduler_project.models import Counted, Event
from workers.core.envelope import REASONS
from workers.models import RefusedMessages

COUNTED_BY_STATE = {
    "scheduler_workers": "Hosts by state.",
    "scheduler_commands": "Commands by state.",
    "scheduler_tasks": "Tasks of services by state.",
    "scheduler_graphs": "Graphs by state.",
    "scheduler_runs": "Runs of topologies by state.",
}


class DatabaseCollector(Collector):
    """Tells what was counted, and the few numbers that need no counting."""

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        counted = {one.name: one for one in Counted.objects.all()}
        for name, text in COUNTED_BY_STATE.items():
            family = GaugeMetricFamily(name, text, labels=["state"])
            for state, count in counts_of(counted, name).items():
                family.add_metric([state], count)
            yield family
        yield refused_messages(counts_of(counted, REFUSED_BY_AGENTS))
        yield counted_when(counted)
        newest = Event.objects.aggregate(id=Max("id"))["id"]
        yield CounterMetricFamily("scheduler_events", "Events recorded since the start.", value=newest or 0)


def counts_of(counted: dict[str, Counted], name: str) -> dict[str, int]:
    """The last count; empty before the first."""
    return counted[name].counts if name in counted else {}


def counted_when(counted: dict[str, Counted]) -> Metric:
    """How old the counts are: they stand still while no control worker runs."""
    text = "When the metric was counted last, in seconds since 1970."
    family = GaugeMetricFamily("scheduler_counted_timestamp_seconds", text, labels=["metric"])
    for name in COUNTED_BY_STATE.keys() & counted.keys():
        family.add_metric([name], counted[name].at.timestamp())
    return family


def refused_messages(by_agents: dict[str, int]) -> Metric:
    """Messages without effect: those to control as control counted them, those to agents as agents said last."""
    text = "Messages between control and agents that had no effect, by direction and reason."
    family = CounterMetricFamily("scheduler_refused_messages", text, labels=["direction", "reason"])
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
