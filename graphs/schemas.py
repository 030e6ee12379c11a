"""The shapes of the app's HTTP answers."""

from datetime import datetime
from typing import Any

from ninja import Field, Schema


class GraphOut(Schema):
    """A graph in short. `counts` are its changes by state."""

    id: str
    name: str
    action: str
    state: str
    reason: str
    source: str
    counts: dict[str, int]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class GraphPage(Schema):
    """A part of the list of graphs, newest first; `next` is the cursor of the following part, empty at the end."""

    items: list[GraphOut]
    next: str


class CriticalPathOut(Schema):
    """The chain of changes that keeps the graph from ending sooner; its length in seconds where that can be told."""

    components: list[str]
    duration_s: float | None


class ReadingOut(Schema):
    """A template, where it stands, and the component that it reads; empty where that is no single one."""

    component_id: str
    path: str
    template: str
    reads: str


class PlanOut(Schema):
    """What a mapping would do: open changes by verb, their order by level, and what their templates will read."""

    counts_by_verb: dict[str, int]
    done: int
    in_flight: int
    levels: list[list[str]]
    critical_path: CriticalPathOut
    templates: list[ReadingOut]


class DifferenceOut(Schema):
    """What changes: `path` begins with the component's id; `from` and `to` are its values, if any."""

    type: str
    path: list[str]
    before: Any = Field(None, serialization_alias="from")
    after: Any = Field(None, serialization_alias="to")


class DiffOut(Schema):
    """What differs from what exists, and the `mapping` that does something about it, ready to be submitted."""

    counts_by_verb: dict[str, int]
    unchanged: int
    changelog: list[DifferenceOut]
    mapping: dict[str, Any]


class ComponentOut(Schema):
    """One change of a graph. `depends_on` are the ids of the components that come before it."""

    component_id: str
    type: str
    provider: str
    action: str
    state: str
    attempt: int
    reason: str
    started_at: datetime | None
    ended_at: datetime | None
    depends_on: list[str]
