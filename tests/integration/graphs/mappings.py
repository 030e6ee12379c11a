"""Mappings for tests, made from a few words."""

from collections.abc import Mapping, Sequence
from typing import Any


def change(component_id: str, **fields: Any) -> dict[str, Any]:
    """A change `vpc::a` of type `vpc`, to be created by the provider `demo`."""
    kind = component_id.partition("::")[0]
    return {"_component": kind, "_component_id": component_id, "_action": "create", "_provider": "demo"} | fields


def mapping(dependencies: Mapping[str, Sequence[str]], graph_id: str = "b1", **fields: Any) -> dict[str, Any]:
    """Changes by id with the ids they wait for; those that wait for nothing follow `start`."""
    edges = [
        {"source": source, "destination": destination, "length": 1}
        for destination, sources in dependencies.items()
        for source in (sources or ["start"])
    ]
    changes = [change(component_id) for component_id in dependencies]
    return {"id": graph_id, "action": "build.create", "changes": changes, "edges": edges} | fields
