"""The shapes of the app's HTTP answers."""

from datetime import datetime
from typing import Any

from ninja import Field, Schema


class GraphOut(Schema):
    """A graph in short. `counts` are its changes by state; `run` grows when it goes on after its end.

    `needs_attention` counts components whose fate a person must decide, `parallel` bounds how many run at once (0 for
    any number), and `parent_graph` and `parent_component` tell what a graph inside another carries out.
    """

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
    run: int
    paused_at: datetime | None
    cancel_requested_at: datetime | None
    needs_attention: int
    parallel: int
    parent_graph: str | None
    parent_component: str | None


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
    """One change of a graph. `depends_on` are the ids of the components that come before it.

    `child` is the id of the graph that carries it out, where it is one itself; `decided_by` who gave it its state by
    hand; `seen_at` the last sign that its attempt is at work; `retry_at` when it may be sent again.
    """

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
    rule: str
    needs_attention: bool
    decided_by: str
    child: str
    sent_at: datetime | None
    seen_at: datetime | None
    deadline_at: datetime | None
    retry_at: datetime | None


class AttemptOut(Schema):
    """One attempt. `outcome` is the state that it led to, or unknown; `reply` the beginning of what came back.

    `sent` is the document that its provider was given, secrets masked; null for a first attempt that was completed,
    which the component's own document tells.
    """

    number: int
    run: int
    outcome: str
    reason: str
    reply: str
    sent: dict[str, Any] | None
    decided_by: str
    handle: str
    started_at: datetime | None
    sent_at: datetime | None
    seen_at: datetime | None
    ended_at: datetime | None


class ComponentInFull(ComponentOut):
    """One change with its document as it stands and as it was `given`, and its attempts. Secrets are masked."""

    needed_by: list[str]
    policy: dict[str, Any]
    document: dict[str, Any]
    given: dict[str, Any]
    attempts: list[AttemptOut]


class CauseOut(Schema):
    """A component that others wait for."""

    component_id: str
    state: str
    reason: str


class WhyOut(Schema):
    """Why a component is not done: in a sentence, its unfinished dependencies, and what those wait for in the end."""

    component_id: str
    state: str
    summary: str
    nearest: list[CauseOut]
    roots: list[CauseOut]


class ResetOut(Schema):
    """A component that is to be done again; one that becomes running needs a person."""

    component_id: str
    before: str
    state: str
    reason: str


class ReopeningOut(Schema):
    """What a resume or a retry would do; `refused` is why it cannot be done now."""

    resets: list[ResetOut]
    refused: str


class MarkIn(Schema):
    """Why a person decides so."""

    reason: str = Field("", max_length=1000)


class CommentIn(Schema):
    """What a person says to a decision."""

    comment: str = Field("", max_length=1000)


class CircuitOut(Schema):
    """A provider that did not answer of late; nothing is sent to it before `retry_at`."""

    provider: str
    failures: int
    reason: str
    failed_at: datetime
    opened_at: datetime | None
    retry_at: datetime | None


class SpanOut(Schema):
    """One attempt in time: claimed at `started_at`, known to be sent at `sent_at`, over at `ended_at`."""

    number: int
    outcome: str
    started_at: datetime | None
    sent_at: datetime | None
    ended_at: datetime | None


class RowOut(Schema):
    """One change in time. `ready_at` is when the last that it depends on had ended."""

    component_id: str
    state: str
    ready_at: datetime | None
    attempts: list[SpanOut]


class TimelineOut(Schema):
    """A run in time. `critical_path` is the chain that took until the end, or until now."""

    started_at: datetime | None
    ended_at: datetime | None
    components: list[RowOut]
    critical_path: list[str]
