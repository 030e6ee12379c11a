"""The shapes of the app's HTTP answers."""

from datetime import datetime

from ninja import Schema


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


class PlanOut(Schema):
    """What a mapping would do: open changes by verb, and their order by level."""

    counts_by_verb: dict[str, int]
    levels: list[list[str]]


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
