"""The demo: real work of all four kinds, put in through the same commands that a user types."""

import sys
from pathlib import Path

from clusters.models import Service, Task
from graphs.models import Graph
from workers.models import Worker

PYTHON = sys.executable
MARKER_NAME = "demo-applied"
DEMO_GRAPH_ID = "shop-1"
DEMO_CLUSTER = "demo"

STEPS: tuple[tuple[str, ...], ...] = (
    (PYTHON, "manage.py", "apply", "examples/cluster.yml", "examples/topology.yml"),
    (PYTHON, "-m", "schedctl", "graphs", "submit", "examples/graph.json"),
    (PYTHON, "-m", "schedctl", "tasks", "schedule", "-f", "examples/tasks.yml"),
)


def is_applied(data_dir: Path) -> bool:
    return (data_dir / MARKER_NAME).exists()


def mark_applied(data_dir: Path) -> None:
    (data_dir / MARKER_NAME).touch()


def hosts_missing(hosts: tuple[str, ...]) -> list[str]:
    """Hosts that have not joined yet."""
    joined = set(Worker.objects.connected().filter(name__in=hosts).values_list("name", flat=True))
    return [host for host in hosts if host not in joined]


def instances_running() -> tuple[int, int]:
    """Running and desired instances of the demo's services."""
    desired = sum(Service.objects.filter(cluster__name=DEMO_CLUSTER).values_list("desired", flat=True))
    running = Task.objects.filter(service__cluster__name=DEMO_CLUSTER, state="running").count()
    return running, desired


def graph_state() -> str:
    """The demo graph's state; empty while it is not there."""
    return Graph.objects.filter(id=DEMO_GRAPH_ID).values_list("state", flat=True).first() or ""


def services_missing() -> str:
    """What the demo's services still lack; empty when all instances run."""
    running, desired = instances_running()
    return "" if desired and running >= desired else f"{running} of {desired} instances run"


def graph_missing() -> str:
    """What the demo's graph still lacks; empty when it is completed."""
    state = graph_state()
    return "" if state == "completed" else f"graph {DEMO_GRAPH_ID} is {state or 'not there'}"
