"""What a reply does to documents: nothing that a provider does not mention is lost.

Invariant: a component keeps its identity (type, id, verb, provider, graph) whatever a reply claims.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphs.core import words
from graphs.core.values import value_faults

BRINGS = ("create", "update", "get")
IDENTITY = (words.TYPE_KEY, words.ID_KEY, words.VERB_KEY, words.PROVIDER_KEY)


@dataclass(frozen=True)
class Effects:
    """What exists after a change: `kept` documents by id, `removed` ids, and why finds were `refused`."""

    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    refused: tuple[str, ...] = ()


def merged(base: Any, news: Any) -> Any:
    """Objects are merged key by key, at every depth; any other value of `news` takes the place of the one in `base`."""
    if not isinstance(base, Mapping) or not isinstance(news, Mapping):
        return news
    result = dict(base)
    for key, value in news.items():
        result[key] = merged(base[key], value) if key in base else value
    return result


def answered(document: Mapping[str, Any], reply: Mapping[str, Any], graph_id: str, state: str) -> dict[str, Any]:
    """A change's document after a reply."""
    result: dict[str, Any] = merged(document, reply)
    result |= {key: document[key] for key in IDENTITY if key in document}
    result[words.GRAPH_KEY] = graph_id
    result[words.STATE_KEY] = state
    return result


def touched_ids(verb: str, component_id: str, document: Mapping[str, Any]) -> set[str]:
    """The ids of existing components that completing a change may touch."""
    if verb == "find":
        return set(_found(document)[0])
    return {component_id} if verb in (*BRINGS, "delete") else set()


def effects(
    verb: str, component_id: str, document: Mapping[str, Any], existing: Mapping[str, Mapping[str, Any]]
) -> Effects:
    """What a completed change means for what exists. Verbs that we do not know change nothing but themselves."""
    if verb == "delete":
        return Effects(removed=frozenset({component_id}))
    if verb in BRINGS:
        return Effects(kept={component_id: merged(existing.get(component_id, {}), document)})
    if verb != "find":
        return Effects()
    found, refused = _found(document)
    graph_id = document.get(words.GRAPH_KEY, "")
    kept = {
        found_id: merged(existing.get(found_id, {}), {**item, words.GRAPH_KEY: graph_id})
        for found_id, item in found.items()
    }
    return Effects(kept=kept, refused=tuple(refused))


def _found(document: Mapping[str, Any]) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """The usable components that a find brought, by id, and what is wrong with the others."""
    items = document.get(words.FOUND_KEY)
    found: dict[str, Mapping[str, Any]] = {}
    refused: list[str] = []
    for index, item in enumerate(items if isinstance(items, list) else ()):
        component_id = item.get(words.ID_KEY) if isinstance(item, Mapping) else None
        if isinstance(component_id, str) and 0 < len(component_id) <= words.ID_LENGTH_MAX:
            found[component_id] = merged(found.get(component_id, {}), item)
        else:
            refused.append(f"components[{index}] is no object with a usable {words.ID_KEY}")
    return found, refused


def reply_problem(reply: Mapping[str, Any]) -> str:
    """Why a reply's document cannot be kept; empty when it can."""
    return "; ".join(str(fault) for fault in value_faults(reply, "")[:5])
