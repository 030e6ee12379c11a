"""Graphs in files that are applied: each needs an id, so that applying the file again changes nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from graphs import store
from graphs.core.document import parse
from graphs.core.values import digest
from graphs.models import Graph
from graphs.providers import component_faults
from scheduler_project.toolkit.changes import Change
from scheduler_project.toolkit.errors import Fault, InvalidDocument

KEYS: tuple[str, ...] = ("graphs",)
MARKS = ("changes", "edges")


def bare_key(document: Mapping[str, Any]) -> str:
    """A file that is one mapping needs no `graphs` around it."""
    return "graphs" if all(isinstance(document.get(mark), list) for mark in MARKS) else ""


def plan(document: Mapping[str, Any], now: datetime) -> list[Change]:
    """What applying means for each graph. Nothing is written."""
    items = document.get("graphs") or []
    known = dict(Graph.objects.filter(pk__in=_ids(items)).values_list("pk", "digest"))
    changes = [_change(item, f"graphs[{index}]", known) for index, item in enumerate(items)]
    return _without_repeats(changes)


def apply(changes: list[Change], now: datetime, actor: str) -> None:
    """Submits the graphs that are new."""
    for change in changes:
        if change.action == "created":
            store.submit(change.value, now, source="cli", actor=actor)


def _ids(items: list[Any]) -> list[str]:
    return [item["id"] for item in items if isinstance(item, Mapping) and isinstance(item.get("id"), str)]


def _change(item: Any, path: str, known: Mapping[str, str]) -> Change:
    name = str(item.get("id") or "") if isinstance(item, Mapping) else ""
    try:
        parse(item, "", component_faults)
    except InvalidDocument as error:
        return _refused(name, [_below(path, fault) for fault in error.faults])
    if not name:
        return _refused(name, [Fault(f"{path}.id", "is missing; with an id, applying the file again changes nothing")])
    if name not in known:
        return Change("graph", name, "created", value=item)
    if known[name] == digest(item):
        return Change("graph", name, "unchanged")
    why = "there is a graph of this id made from another mapping; a graph runs once, so give this one another id"
    return _refused(name, [Fault(f"{path}.id", why)])


def _without_repeats(changes: list[Change]) -> list[Change]:
    """The same id twice in the files is refused the second time."""
    seen: set[str] = set()
    result: list[Change] = []
    for index, change in enumerate(changes):
        if change.name and change.name in seen:
            change = _refused(change.name, [Fault(f"graphs[{index}].id", "is given twice; give each its own id")])
        seen.add(change.name)
        result.append(change)
    return result


def _refused(name: str, faults: list[Fault]) -> Change:
    return Change("graph", name, "refused", faults=tuple(faults))


def _below(path: str, fault: Fault) -> Fault:
    return Fault(f"{path}.{fault.path}" if fault.path else path, fault.message)
