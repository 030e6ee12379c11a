"""The app's part in applying files; see `scheduler_project.manifest`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from graphs.providers import component_faults
from scheduler_project.toolkit.changes import Change
from scheduler_project.toolkit.errors import Fault, InvalidDocument
from topologies import store
from topologies.core.grammar import TopologySpec, read_topology
from topologies.core.triggers import ManualTrigger, trigger_of
from topologies.models import Topology

KEYS: tuple[str, ...] = ("topologies",)
KIND = "topology"


def bare_key(document: Mapping[str, Any]) -> str:
    """A file that is one topology needs no `topologies` around it."""
    return "topologies" if "name" in document and "graph" in document else ""


def plan(document: Mapping[str, Any], now: datetime) -> list[Change]:
    """What applying means for each topology. Nothing is written."""
    items = document.get("topologies") or []
    names = [item["name"] for item in items if isinstance(item, Mapping) and isinstance(item.get("name"), str)]
    known = dict(Topology.objects.present().filter(name__in=names).values_list("name", "spec"))
    seen: set[str] = set()
    return [_change(item, f"topologies[{index}]", known, seen, now) for index, item in enumerate(items)]


def apply(changes: list[Change], now: datetime, actor: str) -> None:
    """Writes a plan without refusals, in the caller's transaction."""
    for change in changes:
        if change.action in ("created", "changed"):
            store.save(change.value, now, actor)


def spec_of(item: object, known: Mapping[str, Any] | None, now: datetime, path: str = "") -> TopologySpec:
    """A topology as a user wrote it; `known` is the stored one that it would change. Raises InvalidDocument."""
    faults: list[Fault] = []
    spec = read_topology(item, path, component_faults, faults)
    if not faults:
        faults += never_fires(spec, known, path, now)
    if faults:
        raise InvalidDocument(faults)
    return spec


def never_fires(spec: TopologySpec, known: Mapping[str, Any] | None, path: str, now: datetime) -> list[Fault]:
    """A new trigger that has no fire to come is refused; an old one may have had its last."""
    if isinstance(spec.trigger, ManualTrigger) or spec.trigger.next_after(now) is not None:
        return []
    if known is not None and trigger_of(known["trigger"]) == spec.trigger:
        return []
    where = f"{path}.trigger" if path else "trigger"
    return [Fault(where, f"would never fire: there is no such time after {now.isoformat(timespec='seconds')}")]


def _change(item: Any, path: str, known: Mapping[str, Any], seen: set[str], now: datetime) -> Change:
    name = str(item.get("name") or "") if isinstance(item, Mapping) else ""
    before = known.get(name)
    try:
        spec = spec_of(item, before, now, path)
    except InvalidDocument as error:
        return Change(KIND, name, "refused", faults=error.faults)
    if name in seen:
        return Change(KIND, name, "refused", faults=(Fault(f"{path}.name", "is given twice; give each its own name"),))
    seen.add(name)
    if before is None:
        return Change(KIND, name, "created", value=spec)
    return Change(KIND, name, "unchanged" if before == spec.document() else "changed", value=spec)
