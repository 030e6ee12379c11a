"""Reads the two sides of a comparison: the components that are wanted, those that exist, and who needs whom.

What a component needs is said by its key `_depends_on`, by edges, and by the templates that read another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from graphs.core import words
from graphs.core.document import ComponentSpec, read_components, read_items
from graphs.core.edges import circle_fault, read_edges
from graphs.core.nesting import own_part
from graphs.core.order import find_cycles, levels
from graphs.core.templating import Templating, templating_of
from graphs.core.values import kind_of, shown, value_faults
from scheduler_project.toolkit.errors import Fault

LISTS = ("components", "changes", "edges")
TEXT_LISTS = (words.DEPENDS_KEY, words.SEQUENTIAL_KEY, words.IMMUTABLE_KEY)
Documents = Mapping[str, Mapping[str, Any]]
Needs = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Wanted:
    """What is wanted by id, where each stands, what each needs, and an `order` in which needs come first."""

    top: dict[str, Any]
    documents: Documents
    paths: Mapping[str, str]
    needs: Needs
    order: Sequence[str]
    templating: Templating

    def verb(self, component_id: str) -> str:
        """The verb that a wanted component comes with; empty where it has none."""
        value = self.documents[component_id].get(words.VERB_KEY)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Existing:
    """What exists, by id, and what each needs."""

    graph_id: Any
    documents: Documents
    needs: Needs


def read_wanted(document: Any, faults: list[Fault]) -> Wanted:
    """What a mapping wants: its components, and its changes but for those to be deleted."""
    mapping = _object(document, "wanted", faults)
    top = {key: value for key, value in mapping.items() if key not in (*LISTS, "changelog")}
    faults += value_faults(top, "")
    templating = templating_of(mapping.get("options"))
    components = read_components(mapping, "components", faults)
    changes = read_components(mapping, "changes", faults)
    specs = {one.component_id: one for one in components} | {one.component_id: one for one in changes}
    wanted = {name: one for name, one in specs.items() if one.path.startswith("comp") or one.verb != "delete"}
    faults += _list_faults(wanted.values())
    needs = _needs(wanted, _before(mapping, specs, faults), templating)
    faults += _unknown_faults(needs, wanted)
    known = {name: {one for one in needed if one in wanted} for name, needed in needs.items()}
    order = levels(known)
    faults += [circle_fault(cycle) for cycle in find_cycles(known, order)]
    documents = {name: one.document for name, one in wanted.items()}
    paths = {name: one.path for name, one in wanted.items()}
    return Wanted(top, documents, paths, needs, list(chain.from_iterable(order)), templating)


def read_existing(document: Any, faults: list[Fault]) -> Existing:
    """What exists according to a mapping; None for nothing. Edges of deletes go the other way and are not read."""
    own: list[Fault] = []
    mapping = _object({} if document is None else document, "against", own)
    components = {one.component_id: one for one in read_components(mapping, "components", own)}
    changes = read_components(mapping, "changes", own)
    deleted = {one.component_id for one in changes if one.verb == "delete"}
    ids = {one.component_id for one in changes} | set(components)
    before = [pair for pair in _before(mapping, ids, own) if not deleted.intersection(pair)]
    needs = _needs(components, before, None)
    faults += [Fault(f"against.{fault.path}" if fault.path else "against", fault.message) for fault in own]
    documents = {name: one.document for name, one in components.items()}
    known = {name: tuple(one for one in needed if one in documents) for name, needed in needs.items()}
    return Existing(mapping.get("id"), documents, known)


def _object(document: Any, name: str, faults: list[Fault]) -> Mapping[str, Any]:
    if isinstance(document, Mapping):
        return document
    faults.append(Fault("", f"{name} must be a JSON object, not {kind_of(document)}"))
    return {}


def _before(mapping: Mapping[str, Any], ids: Iterable[str], faults: list[Fault]) -> list[tuple[str, str]]:
    edges = read_edges(read_items(mapping, "edges", faults), ids, faults)
    sentinels = {words.START, words.END}
    return [(edge.source, edge.destination) for edge in edges if not sentinels & {edge.source, edge.destination}]


def _needs(
    specs: Mapping[str, ComponentSpec], before: Iterable[tuple[str, str]], templating: Templating | None
) -> dict[str, list[str]]:
    """What each needs, each once: as said, then by edges, then by templates."""
    found: dict[str, dict[str, None]] = {
        name: dict.fromkeys(_texts(one.document.get(words.DEPENDS_KEY))) for name, one in specs.items()
    }
    for source, destination in before:
        if source in specs and destination in specs:
            found[destination][source] = None
    for name, one in specs.items() if templating else ():
        read = templating.needs_of(own_part(one.document)).ids if templating else ()
        found[name].update(dict.fromkeys(sorted(other for other in read if other in specs and other != name)))
    return {name: list(needed) for name, needed in found.items()}


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _list_faults(specs: Iterable[ComponentSpec]) -> list[Fault]:
    return [
        Fault(f"{one.path}.{key}", "must be a list of strings")
        for one in specs
        for key in TEXT_LISTS
        if one.document.get(key) is not None and not _is_texts(one.document[key])
    ]


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _unknown_faults(needs: Needs, wanted: Mapping[str, ComponentSpec]) -> list[Fault]:
    return [
        Fault(f"{wanted[name].path}.{words.DEPENDS_KEY}", f"there is no component {shown(one)!r}")
        for name, needed in needs.items()
        for one in needed
        if one not in wanted
    ]
