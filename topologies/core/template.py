"""Makes the graph of one run from a stored topology."""

from collections.abc import Mapping
from typing import Any

COMPONENT_TYPE = "command"


def graph_document(topology: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """The mapping of one run of a stored topology. The graph's id is the run's."""
    components = topology["graph"]["components"]
    waited_for = {name for component in components for name in component["after"]}
    edges = [
        {"source": component_id(name) if name else "start", "destination": component_id(component["name"])}
        for component in components
        for name in component["after"] or [""]
    ]
    last = [component["name"] for component in components if component["name"] not in waited_for]
    return {
        "id": run_id,
        "name": topology["name"],
        "components": [],
        "changes": [change(component) for component in components],
        "edges": edges + [{"source": component_id(name), "destination": "end"} for name in last],
    }


def change(component: Mapping[str, Any]) -> dict[str, Any]:
    """One component as a graph carries it out."""
    return {
        "_component": COMPONENT_TYPE,
        "_component_id": component_id(component["name"]),
        "_action": "run",
        "_provider": "command",
        "_state": "waiting",
        **{key: value for key, value in component.items() if key != "after"},
    }


def component_id(name: str) -> str:
    return f"{COMPONENT_TYPE}::{name}"
