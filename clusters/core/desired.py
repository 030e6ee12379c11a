"""What applying a document means: compares what it says with what is known, object by object.

Invariant: every object of the document gives exactly one change, and one with a fault is refused with all its faults.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from clusters.core.document import Cluster, Service, TaskDefinition
from clusters.core.grammar import is_discovery, read_cluster, read_service
from clusters.core.reading import suggestion
from clusters.core.task_grammar import read_task_definition
from scheduler_project.toolkit.changes import Change
from scheduler_project.toolkit.errors import Fault

Identity = tuple[str, int]


def identity(definition: TaskDefinition) -> Identity:
    return definition.name, definition.version


@dataclass(frozen=True)
class Known:
    """What the database holds of everything that a document speaks of, and of all clusters' lists of services."""

    definitions: Mapping[Identity, TaskDefinition] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    clusters: Mapping[str, Cluster] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """One object of the document: what it says, where, and what is wrong with it.

    `without_effect` are keys of older formats that change nothing; `listed_at` is where a cluster lists each service.
    """

    kind: str
    path: str
    value: Any
    faults: list[Fault]
    without_effect: Sequence[str] = ()
    listed_at: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        name = self.value.name or self.path
        return f"{name} {self.value.version}" if isinstance(self.value, TaskDefinition) else name


@dataclass(frozen=True)
class Document:
    """A document of ours, read."""

    definitions: list[Read]
    services: list[Read]
    clusters: list[Read]
    discovery: list[Change]

    def mentioned_definitions(self) -> set[Identity]:
        named = {identity(one.value) for one in self.definitions}
        return named | {(one.value.task_name, one.value.task_version) for one in self.services}

    def mentioned_services(self) -> set[str]:
        listed = {name for one in self.clusters for name in one.value.services}
        return listed | {one.value.name for one in self.services}


def read(document: Mapping[str, Any]) -> Document:
    """Reads every object, also after faults."""
    found = Document([], [], [], [])
    for key in ("tasks", "task_definitions"):
        for path, value in elements(document, key):
            faults: list[Fault] = []
            found.definitions.append(Read("task_definition", path, read_task_definition(value, path, faults), faults))
    for key in ("services", "deployments"):
        for path, value in elements(document, key):
            if is_discovery(value):
                detail = "finding services by query is not available yet; nothing is kept of it"
                found.discovery.append(Change("discovery", str(value.get("name", path)), "unchanged", detail))
                continue
            faults = []
            service, unused = read_service(value, path, faults)
            found.services.append(Read("service", path, service, faults, unused))
    for path, value in elements(document, "clusters"):
        faults = []
        cluster, listed_at, unused = read_cluster(value, path, faults)
        found.clusters.append(Read("cluster", path, cluster, faults, unused, listed_at))
    return found


def elements(document: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    return [(f"{key}[{index}]", value) for index, value in enumerate(document.get(key) or [])]


def plan(document: Document, known: Known) -> list[Change]:
    """The changes in the order in which they are to be made."""
    for reads in (document.definitions, document.services, document.clusters):
        refuse_duplicates(reads)
    check_definitions(document, known)
    check_service_references(document, known)
    check_memberships(document, known)
    definitions = [
        change(one, known.definitions.get((one.value.name, one.value.version))) for one in document.definitions
    ]
    services = [change(one, known.services.get(one.value.name)) for one in document.services]
    clusters = [change(one, known.clusters.get(one.value.name)) for one in document.clusters]
    return definitions + services + clusters + document.discovery


def change(one: Read, before: Any) -> Change:
    if one.faults:
        return Change(one.kind, one.name, "refused", faults=tuple(one.faults))
    note = f"without effect: {', '.join(one.without_effect)}" if one.without_effect else ""
    if before is None:
        return Change(one.kind, one.name, "created", note, one.value)
    difference = differences(before, one.value)
    detail = "; ".join(part for part in (difference, note) if part)
    return Change(one.kind, one.name, "changed" if difference else "unchanged", detail, one.value)


def differences(before: Any, after: Any) -> str:
    """The fields that change, each as `desired 3 → 4`."""
    pairs = [(one.name, getattr(before, one.name), getattr(after, one.name)) for one in fields(after)]
    return ", ".join(f"{name} {told(old)} → {told(new)}" for name, old, new in pairs if old != new)


def told(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(value) + "]"
    return "none" if value in ("", None) else str(value)


def refuse_duplicates(reads: Sequence[Read]) -> None:
    times = Counter(one.name for one in reads)
    for one in reads:
        if one.value.name and times[one.name] > 1:
            one.faults.append(Fault(f"{one.path}.name", f"{one.kind} {one.name} is given {times[one.name]} times"))


def check_definitions(document: Document, known: Known) -> None:
    """A definition never changes once it is known."""
    for one in document.definitions:
        before = known.definitions.get(identity(one.value))
        if before is not None and not one.faults and before != one.value:
            parts = changed_parts(before, one.value)
            message = f"{one.name} already exists with other content (differs in {parts}); raise version"
            one.faults.append(Fault(f"{one.path}.version", message))


def changed_parts(before: TaskDefinition, after: TaskDefinition) -> str:
    return ", ".join(one.name for one in fields(after) if getattr(before, one.name) != getattr(after, one.name))


def check_service_references(document: Document, known: Known) -> None:
    """Every service runs a definition that is in the document or known."""
    there = set(known.definitions) | {identity(one.value) for one in document.definitions}
    for one in document.services:
        name, version = one.value.task_name, one.value.task_version
        said = not any(fault.path in (f"{one.path}.task_name", f"{one.path}.task_version") for fault in one.faults)
        if said and (name, version) not in there:
            versions = sorted(number for other, number in there if other == name)
            hint = f"known versions: {', '.join(map(str, versions))}" if versions else "no task of that name is known"
            key = "task_version" if versions else "task_name"
            one.faults.append(Fault(f"{one.path}.{key}", f"there is no task {name} of version {version}; {hint}"))


def check_memberships(document: Document, known: Known) -> None:
    """Every listed service exists and belongs to one cluster, and no two services would share their tasks' names."""
    there = set(known.services) | {one.value.name for one in document.services}
    final = {name: cluster.services for name, cluster in known.clusters.items()}
    final |= {one.value.name: one.value.services for one in document.clusters}
    clusters_of: dict[str, list[str]] = {}
    stems: dict[str, list[str]] = {}
    for cluster, services in final.items():
        for service in services:
            clusters_of.setdefault(service, []).append(cluster)
            stems.setdefault(f"{cluster}-{service}", []).append(f"{service} of {cluster}")
    for one in document.clusters:
        for service, path in one.listed_at.items():
            others = [name for name in clusters_of[service] if name != one.value.name]
            alike = stems[f"{one.value.name}-{service}"]
            if service not in there:
                one.faults.append(Fault(path, f"there is no service {service}; {suggestion(service, sorted(there))}"))
            elif others:
                one.faults.append(Fault(path, f"{service} already belongs to cluster {others[0]}"))
            elif len(alike) > 1:
                one.faults.append(Fault(path, f"{' and '.join(alike)} would name their tasks alike; rename one"))
