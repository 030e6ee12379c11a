"""Compares one wanted component with the one that exists: by the keys that are wanted, at every depth.

What providers added is no difference; a template is compared by what it would read, and is one where that is not known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphs.core import words
from graphs.core.gjson import MISSING
from graphs.core.nesting import own_part
from graphs.core.templating import Unresolved
from graphs.core.wanted import Existing, Wanted

NOT_COMPARED = (words.GRAPH_KEY, words.ERROR_KEY)
COMPARED_WORDS = (words.TYPE_KEY, words.PROVIDER_KEY)


@dataclass(frozen=True)
class Difference:
    """One line of a changelog: create, update, delete or replace; where; from what to what."""

    type: str
    path: tuple[str, ...]
    before: Any
    after: Any

    def document(self) -> dict[str, Any]:
        """The line as JSON."""
        return {"type": self.type, "path": list(self.path), "from": self.before, "to": self.after}


def differences(component_id: str, want: Wanted, have: Existing, replaced: frozenset[str]) -> list[Difference]:
    """How the two differ. What reads something that is to be replaced differs in that."""
    wanted, existing = want.documents[component_id], have.documents[component_id]
    found: list[Difference] = []
    for key, value in wanted.items():
        if key in NOT_COMPARED or (key.startswith("_") and key not in COMPARED_WORDS):
            continue
        known = _as_known(value, want, have, replaced) if key in own_part(wanted) else value
        found += _between(known, existing.get(key, MISSING), (component_id, key))
    return found


def _as_known(value: Any, want: Wanted, have: Existing, replaced: frozenset[str]) -> Any:
    """The value with templates filled in where that can be told now."""
    templating = want.templating
    if not any(templating.templates_in(value)):
        return value
    needs = templating.needs_of(value)
    if needs.everything or needs.ids & replaced:
        return value
    mapping = want.top | {"components": [have.documents[one] for one in needs.ids if one in have.documents]}
    try:
        return templating.resolve(value, mapping)
    except Unresolved:
        return value


def _between(wanted: Any, existing: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(wanted, Mapping) and isinstance(existing, Mapping):
        for key, value in wanted.items():
            yield from _between(value, existing.get(key, MISSING), (*path, key))
    elif wanted is None and existing is MISSING:
        return
    elif type(wanted) is not type(existing) or wanted != existing:
        yield Difference("update", path, None if existing is MISSING else existing, wanted)
