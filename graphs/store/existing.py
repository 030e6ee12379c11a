"""Keeps the part `components` of locked graphs true to what their completed changes did."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from graphs.core import words
from graphs.core.merge import effects, touched_ids
from graphs.models import Component, Part
from graphs.store.ledger import Ledger
from graphs.store.rows import Key, batches, components_by_id
from scheduler_project.toolkit.bulk import inserts_of, updates_of
from scheduler_project.toolkit.events import NewEvent

TEXT_KEYS = {"type": words.TYPE_KEY, "provider": words.PROVIDER_KEY, "verb": words.VERB_KEY}


@dataclass(frozen=True)
class Known:
    """What exists under the keys that were `asked` for already."""

    asked: frozenset[Key] = frozenset()
    rows: Sequence[Component] = ()


class Document(Struct):
    """What exists under an id; without a primary key it is new."""

    pk: int | None
    content: Mapping[str, Any]

    def texts(self) -> dict[str, str]:
        """The columns that tell of the document, by their names."""
        return {name: _text(self.content.get(key)) for name, key in TEXT_KEYS.items()}


def _text(value: Any) -> str:
    return value[: words.NAME_LENGTH_MAX] if isinstance(value, str) else ""


@dataclass
class Existing:
    """What exists in some graphs, by graph and component id, and what of it is to be written."""

    present: dict[str, dict[str, Document]] = field(default_factory=lambda: defaultdict(dict))
    kept: dict[Key, Document] = field(default_factory=dict)
    removed: list[int] = field(default_factory=list)

    def add(self, row: Component) -> None:
        self.present[row.graph_id][row.component_id] = Document(row.pk, row.document)

    def keep(self, graph_id: str, component_id: str, content: Mapping[str, Any]) -> None:
        known = self.present[graph_id].get(component_id)
        document = Document(known.pk if known else None, content)
        self.present[graph_id][component_id] = self.kept[graph_id, component_id] = document

    def remove(self, graph_id: str, component_id: str) -> None:
        known = self.present[graph_id].pop(component_id, None)
        self.kept.pop((graph_id, component_id), None)
        if known is not None and known.pk is not None:
            self.removed.append(known.pk)


def change_what_exists(completed: Sequence[Component], known: Known, ledger: Ledger) -> list[NewEvent]:
    """Writes the effects of completed changes, in their order. Returns events of what could not be kept."""
    existing = _load(completed, known)
    events: list[NewEvent] = []
    for row in completed:
        subject = f"graph:{row.graph_id}"
        outcome = effects(row.verb, row.component_id, row.document, _touched(existing, row))
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
        existing.add(row)
    keys = {(row.graph_id, one) for row in completed for one in touched_ids(row.verb, row.component_id, row.document)}
    for batch in batches(sorted(keys - known.asked)):
        for row in components_by_id(Part.EXISTS, batch):
            existing.add(row)
    return existing


def _touched(existing: Existing, row: Component) -> dict[str, Mapping[str, Any]]:
    present = existing.present[row.graph_id]
    names = touched_ids(row.verb, row.component_id, row.document)
    return {name: present[name].content for name in names if name in present}


def _save(existing: Existing, ledger: Ledger) -> None:
    kept = existing.kept.items()
    new = [
        {"graph": graph_id, "part": Part.EXISTS.value, "component_id": name, "document": one.content, **one.texts()}
        for (graph_id, name), one in kept
        if one.pk is None
    ]
    ledger.later(inserts_of(Component, new))
    known = {one.pk: {"document": one.content, **one.texts()} for _, one in kept if one.pk is not None}
    lists = {name: [values[name] for values in known.values()] for name in ("document", *TEXT_KEYS)}
    ledger.later(updates_of(Component, list(known), lists))
    if existing.removed:
        Component.objects.filter(pk__in=existing.removed).delete()
