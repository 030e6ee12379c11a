"""A cluster in the database with agents in memory, and a clock that the test moves."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from django.test import TestCase

from clusters.models import Service, Task
from clusters.tasks import tick
from scheduler_project import manifest
from workers import store as workers_store
from workers.protocol import KeepTask, Order, StopUnit
from workers.testing import FakeAgents

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
POOLS = {"host-a": "31000-31019", "host-b": "31020-31039", "host-c": "31040-31059"}


def definition(version: int = 1, **fields: Any) -> dict[str, Any]:
    container = {"name": "main", "type": "bash", "executor": {"start": f"serve {version}"}}
    return {"name": "hello", "version": version, "provide_port": True, "containers": [container]} | fields


def document(**service: Any) -> dict[str, Any]:
    """A file of one cluster `demo` with one service `web` of three tasks."""
    wanted: dict[str, Any] = {"name": "web", "task_name": "hello", "task_version": 1, "desired": 3, "min": 2, "max": 4}
    wanted |= service
    return {
        "clusters": [{"name": "demo", "services": ["web"]}],
        "services": [wanted],
        "tasks": [definition(wanted["task_version"])],
    }


class System:
    """The database, the agents and the time."""

    def __init__(self, agents: FakeAgents) -> None:
        self.agents = agents
        self.now = START

    def connect(self, *hosts: str, **fields: Any) -> None:
        for host in hosts:
            facts = {"executors": ["bash"], "ports": POOLS[host], "cores": 4, "memory_mb": 4096}
            self.agents.connect(host, now=self.now, facts=facts, **fields)

    def apply(self, content: dict[str, Any]) -> manifest.Outcome:
        source = manifest.Source("file.yml", yaml.safe_dump(content).encode())
        return manifest.apply([source], self.now, "tester")

    def tick(self, seconds: float = 1) -> None:
        """One beat of the clock: heartbeats, the ground's sweep, ours, and all messages that follow."""
        self.now += timedelta(seconds=seconds)
        self.agents.beat(self.now)
        with TestCase.captureOnCommitCallbacks(execute=True):
            workers_store.sweep(self.now)
        with TestCase.captureOnCommitCallbacks(execute=True):
            tick(self.now)
        self.agents.settle(self.now)

    def ticks(self, count: int, seconds: float = 1) -> None:
        for _ in range(count):
            self.tick(seconds)

    def orders(self, kind: type[Order] = KeepTask) -> list[tuple[str, Any]]:
        return [(host, order) for host, order in self.agents.published if isinstance(order, kind)]

    def stops(self) -> list[tuple[str, Any]]:
        return self.orders(StopUnit)


def placed(service: str = "web", *states: str) -> list[tuple[int, str, str]]:
    """Instance, host and state of a service's unfinished tasks."""
    tasks = Task.objects.unfinished().filter(service__name=service).select_related("host").order_by("instance", "id")
    return [(task.instance, task.host.name if task.host else "", task.state) for task in tasks]


def counts(service: str = "web") -> tuple[int, int]:
    """Issued and actual."""
    row: Any = Service.objects.counted().get(name=service)
    return row.issued, row.actual


@pytest.fixture
def system(db: None) -> Iterator[System]:
    with FakeAgents() as agents:
        yield System(agents)
