"""Changes of single components in a stored mapping, as ernest's scheduler asks its store for them."""

from collections.abc import Mapping
from typing import Any

from graphs.core.words import FOUND_KEY, ID_KEY


class NoSuchChange(ValueError):
    """change component not found"""


def with_change(mapping: Mapping[str, Any], component: Mapping[str, Any]) -> dict[str, Any]:
    """The first change of the component's id replaced. Raises NoSuchChange."""
    changes = list(mapping.get("changes") or [])
    for position, change in enumerate(changes):
        if _id(change) == _id(component):
            changes[position] = component
            return {**mapping, "changes": changes}
    raise NoSuchChange("change component not found")


def with_component(mapping: Mapping[str, Any], component: Mapping[str, Any]) -> dict[str, Any]:
    """The component in the place of the one with its id, or added."""
    components = list(mapping.get(FOUND_KEY) or [])
    for position, existing in enumerate(components):
        if _id(existing) == _id(component):
            components[position] = component
            return {**mapping, FOUND_KEY: components}
    return {**mapping, FOUND_KEY: [*components, component]}


def without_component(mapping: Mapping[str, Any], component: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing left with the component's id."""
    kept = [one for one in mapping.get(FOUND_KEY) or [] if _id(one) != _id(component)]
    return {**mapping, FOUND_KEY: kept}


def _id(component: Any) -> Any:
    return component.get(ID_KEY) if isinstance(component, Mapping) else None
