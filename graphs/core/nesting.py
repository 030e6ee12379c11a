"""Graphs inside graphs: which part of a component's document is the outer graph's own.

Invariant: a template inside the inner mapping is never read as the outer graph's.
"""

from collections.abc import Mapping
from typing import Any

from graphs.core.words import PROVIDER_KEY

GRAPH_PROVIDER = "graph"
MAPPING_KEY = "mapping"
INPUTS_KEY = "inputs"


def own_part(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document without the mapping of an inner graph."""
    if document.get(PROVIDER_KEY) != GRAPH_PROVIDER:
        return document
    return {key: value for key, value in document.items() if key != MAPPING_KEY}
