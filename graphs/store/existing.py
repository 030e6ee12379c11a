"""Keeps the part `components` of locked graphs true to what their completed changes did."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphs.core import words
from graphs.core.merge import effects, touched_ids
from graphs.models import Component, Part
from graphs.store.ledger import Ledger
from graphs.store.rows import Key, batches, components_by_id
from scheduler_project.toolkit.bulk import inserts, updates
from scheduler_project.toolkit.events import NewEvent

TEXT_KEYS = {"type": words.TYPE_KEY, "provider": words.PROVIDER_KEY, "verb": words.VERB_KEY}


@dataclass(frozen=True)
class Known:
    """What exists under the keys that were `asked` for already."""

    asked: frozenset[Key] = frozenset()
    rows: Sequence[Component] = ()


@dataclass
class Existing:
    """What exists in some graphs, as rows by graph and component id; rows without a primary key are new."""

    present: dict[str, dict[str, Component]] = field(default_factory=lambda: defaultdict(dict))
    kept: dict[Key, Component] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)

    def keep(self, graph_id: str, component_id: str, document: Mapping[str, Any]) -> None:
        row = self.present[graph_id].get(component_id)
        row = row or Component(graph_id=graph_id, part=Part.EXISTS, component_id=component_id)
        row.document = dict(document)
        for name, key in TEXT_KEYS.items():
            value = document.get(key)
            setattr(row, name, value[: words.NAME_LENGTH_MAX] if isinstance(value, str) else "")
        self.present[graph_id][component_id] = self.kept[graph_id, component_id] = row

    def remove(self, graph_id: str, component_id: str) -> None:
        row = self.present[graph_id].pop(component_id, None)
        self.kept.pop((graph_id, component_id), None)
        if row is not None and row.pk is not None:
            self.removed.append(row.pk)


def change_what_exists(completed: Sequence[Component], known: Known, ledger: Ledger) -> list[NewEvent]:
    """Writes the effects of completed changes, in their order. Returns events of what could not be kept."""
    existing = _load(completed, known)
    events: list[NewEvent] = []
    for row in completed:
        subject = f"graph:{row.graph_id}"
        documents = {name: one.document for name, one in _touched(existing, row).items()}
        outcome = effects(row.verb, row.component_id, row.document, documents)
        for name, document in outcome.kept.items():
            existing.keep(row.graph_id, name, document)
        for name in outcome.removed:
            existing.remove(row.graph_id, name)
        events += [
            NewEvent("component.found_ignored", subject, why, "warning", {"component": row.component_id})
            for why in outcome.refused
        ]
    _save(existing, ledger)
    return events


def _load(completed: Sequence[Component], known: Known) -> Existing:
    existing = Existing()
    for row in known.rows:
        existing.present[row.graph_id][row.component_id] = row
    keys = {(row.graph_id, one) for row in completed for one in touched_ids(row.verb, row.component_id, row.document)}
    for batch in batches(sorted(keys - known.asked)):
        for row in components_by_id(Part.EXISTS, batch):
            existing.present[row.graph_id][row.component_id] = row
    return existing


def _touched(existing: Existing, row: Component) -> dict[str, Component]:
    present = existing.present[row.graph_id]
    return {name: present[name] for name in touched_ids(row.verb, row.component_id, row.document) if name in present}


def _save(existing: Existing, ledger: Ledger) -> None:
    rows = list(existing.kept.values())
    known = [row for row in rows if row.pk is not None]
    ledger.later(inserts([row for row in rows if row.pk is None]))
    ledger.later(updates(known, ["document", *TEXT_KEYS]))
    if existing.removed:
        Component.objects.filter(pk__in=existing.removed).delete()
