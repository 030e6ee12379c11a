"""Fills in `$(path)` with what other components of the graph brought back.

A template is a whole string; its result is always a string. What cannot be resolved is an error that names the
template, so a placeholder never reaches a provider.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from graphs.core.gjson import MISSING, parse_path, read
from graphs.core.words import ID_KEY
from scheduler_project.toolkit.errors import SchedulerError

OPENING = "$("
CLOSING = ")"
FOLLOWED_MAX = 16
LISTS = ("components", "changes")


class Unresolved(SchedulerError):
    """A template could not be filled in."""


@dataclass(frozen=True)
class Needs:
    """What templates read: components by id in either list, or (`everything`) more than ids can tell."""

    ids: frozenset[str] = frozenset()
    everything: bool = False


def is_template(value: Any) -> bool:
    """Whether a value is as a whole `$(…)` with something inside."""
    return isinstance(value, str) and len(value) > 3 and value.startswith(OPENING) and value.endswith(CLOSING)


def templates_in(value: Any) -> Iterator[str]:
    """Every template in a JSON value."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping):
            pending.extend(part.values())
        elif isinstance(part, list | tuple):
            pending.extend(part)
        elif is_template(part):
            yield part


def needs_of(value: Any) -> Needs:
    """Which components must be at hand to resolve a value's templates."""
    ids: set[str] = set()
    for template in templates_in(value):
        found = _id_read(template)
        if found is None:
            return Needs(everything=True)
        ids |= found
    return Needs(ids=frozenset(ids))


def _id_read(template: str) -> frozenset[str] | None:
    """The id in `components.#[_component_id="…"].…`; nothing for top-level fields; None when ids cannot tell."""
    parts = parse_path(template[len(OPENING) : -len(CLOSING)])
    if parts is None:
        return frozenset()
    first = parts[0]
    if first.pattern is not None:
        return None
    if first.key not in (*LISTS, "edges"):
        return frozenset()
    query = parts[1].query if len(parts) > 1 else None
    if query is None or query.path != ID_KEY or query.operator != "=" or query.all_matches:
        return None
    return frozenset({query.value.strip('"')})


def resolve(value: Any, mapping: Mapping[str, Any]) -> Any:
    """The value with every template filled in from the mapping. Raises Unresolved, naming the template."""
    if is_template(value):
        return _resolve_template(value, mapping)
    if isinstance(value, Mapping):
        return {key: resolve(inner, mapping) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(inner, mapping) for inner in value]
    return value


def _resolve_template(template: str, mapping: Mapping[str, Any]) -> str:
    text = template
    for _ in range(FOLLOWED_MAX):
        found = read(mapping, text[len(OPENING) : -len(CLOSING)])
        result = "" if found is MISSING else as_text(found)
        if result in ("", "null"):
            raise Unresolved(f"the template {text} finds nothing; check its path, and that what it reads comes before")
        if not is_template(result):
            return result
        text = result
    raise Unresolved(f"the template {template} leads to template after template, {FOLLOWED_MAX} in a row")


def as_text(value: Any) -> str:
    """The string that stands for a JSON value: JSON text for objects and arrays, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    return json.dumps(_plain_numbers(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def number_text(value: float) -> str:
    """The shortest decimal without an exponent; whole numbers without a point, exactly."""
    if isinstance(value, int):
        return str(value)
    text = format(Decimal(repr(value)), "f")
    return re.sub(r"\.?0+$", "", text) if "." in text else text


def _plain_numbers(value: Any) -> Any:
    """Floats that are whole become integers, as ernest's own encoder writes them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _plain_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(inner) for inner in value]
    return value
