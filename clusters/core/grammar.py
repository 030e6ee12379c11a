"""Reads clusters and services in any of their historical forms."""

from collections.abc import Iterable, Mapping
from typing import Any

from clusters.core.document import Cluster, Service
from clusters.core.reading import NAME, NAME_RULE, Reader, shown
from scheduler_project.toolkit.errors import Fault

PLACEMENTS = {"": "", "default": "", "spread": "spread", "binpack": "binpack"}
"""What a file may call a scheduler, and the placement that it means; empty: not said here."""

INSTANCES_MAX = 100_000


def read_cluster(value: object, path: str, faults: list[Fault]) -> tuple[Cluster, dict[str, str], list[str]]:
    """The cluster, the path of each service it lists, and the keys of older formats accepted without effect."""
    reader = Reader(value, path, faults)
    name = reader.name()
    placement = reader.one_of("scheduler", PLACEMENTS, "") or "spread"
    listed_at: dict[str, str] = {}
    for place, service in [*read_names(reader, "services"), *read_names(reader, "deployments")]:
        if service in listed_at:
            faults.append(Fault(place, f"{service} is already listed"))
        listed_at.setdefault(service, place)
    reader.ignore("nodes", "hosts", "datacenter")
    reader.finish()
    return Cluster(name, tuple(sorted(listed_at)), placement), listed_at, reader.without_effect


def read_names(reader: Reader, key: str) -> Iterable[tuple[str, str]]:
    for path, one in reader.elements(key):
        if isinstance(one, str) and NAME.fullmatch(one):
            yield path, one
        else:
            rule = NAME_RULE if isinstance(one, str) else "must be a service's name"
            reader.faults.append(Fault(path, f"{rule}; got {shown(one)}"))


def read_service(value: object, path: str, faults: list[Fault]) -> tuple[Service, list[str]]:
    """The service, and the keys of older formats that were accepted without effect.

    `min` is one below `desired` where it is not given, `max` one above, so that an upgrade goes on smoothly.
    """
    reader = Reader(value, path, faults)
    known = len(faults)
    amount = "count" if reader.has("count") and not reader.has("desired") else "desired"
    desired = reader.whole(amount, highest=INSTANCES_MAX) if reader.has(amount) else reader.required_whole("desired")
    lowest = reader.whole("min", default=max(desired - 1, 0), highest=INSTANCES_MAX)
    highest = reader.whole("max", default=desired + 1, highest=2 * INSTANCES_MAX)
    if len(faults) == known:
        check_bounds(reader, lowest, desired, highest)
    service = Service(
        name=reader.name(),
        task_name=reader.name("task_name"),
        task_version=reader.required_whole("task_version"),
        desired=desired,
        min=lowest,
        max=highest,
        placement=reader.one_of("scheduler", PLACEMENTS, ""),
        max_attempts=reader.whole("max_attempts", lowest=1) if reader.has("max_attempts") else None,
    )
    reader.ignore("selector", "discovery", "constraints")
    reader.finish()
    return service, reader.without_effect


def check_bounds(reader: Reader, lowest: int, desired: int, highest: int) -> None:
    if lowest > desired:
        reader.fault("min", f"must be at most desired ({desired}), got {lowest}")
    if highest < max(desired, 1):
        reader.fault("max", f"must be at least {max(desired, 1)}, as desired is {desired}; got {highest}")


def is_discovery(value: object) -> bool:
    """Whether an element of `services` is a discovery service, which finds tasks rather than runs them."""
    return isinstance(value, Mapping) and "task_name" not in value and "deployment" in value


def bare_key(document: Mapping[str, Any]) -> str:
    """The key under which a file that is one single object belongs, empty where it is not one of ours."""
    if "containers" in document:
        return "tasks"
    if "task_name" in document:
        return "services"
    if "name" in document and ("services" in document or "deployments" in document) and not has_mappings(document):
        return "clusters"
    return ""


def has_mappings(document: Mapping[str, Any]) -> bool:
    lists = [document.get("services") or [], document.get("deployments") or []]
    return any(isinstance(one, Mapping) for part in lists if isinstance(part, list) for one in part)
