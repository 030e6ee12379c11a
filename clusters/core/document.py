"""Desired state as plain values: what a file says once it is read and found free of faults."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

PROVIDED_PORT = "PROVIDED_PORT"
"""The name of a task's port where the file gives it none."""


@dataclass(frozen=True)
class Port:
    """A port of a task on its host. `fixed` 0: the scheduler chooses; `container` 0: the same number inside."""

    name: str
    fixed: int = 0
    container: int = 0


@dataclass(frozen=True)
class Check:
    """One health check: exactly one of http, tcp and script. `$NAME` stands for the port of that name."""

    id: str
    http: str = ""
    tcp: str = ""
    script: str = ""
    interval_s: float = 30
    timeout_s: float = 5


@dataclass(frozen=True)
class Container:
    """One executable of a task, and the executor that runs it with its own options."""

    name: str
    executor: str
    options: dict[str, Any] = field(default_factory=dict)
    setup: list[str] = field(default_factory=list)
    teardown: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskDefinition:
    """What a task runs and what it needs of its host. CPU is in 1024ths of a core."""

    name: str
    version: int
    containers: list[Container] = field(default_factory=list)
    ports: list[Port] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    grace_period_s: float = 60
    max_attempts: int = 10
    memory_mb: int = 0
    cpu_units: int = 0
    disk_mb: int = 0

    @property
    def executors(self) -> frozenset[str]:
        return frozenset(container.executor for container in self.containers)


@dataclass(frozen=True)
class Service:
    """How many tasks of which definition. `placement` empty: as the cluster says; `max_attempts` None: the task's."""

    name: str
    task_name: str
    task_version: int
    desired: int
    min: int
    max: int
    placement: str = ""
    max_attempts: int | None = None


@dataclass(frozen=True)
class Cluster:
    """A group of services, their names in alphabetical order."""

    name: str
    services: tuple[str, ...] = ()
    placement: str = "spread"


def to_stored(definition: TaskDefinition) -> dict[str, Any]:
    """The JSON object kept in the database."""
    stored: dict[str, Any] = msgspec.to_builtins(definition)
    return stored


def from_stored(document: dict[str, Any]) -> TaskDefinition:
    """The opposite of `to_stored`."""
    return msgspec.convert(document, TaskDefinition)
