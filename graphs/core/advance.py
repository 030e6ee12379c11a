"""Decides what reports mean for a graph: what is settled, what it sets free, whether the graph is over.

A snapshot holds only what is reported on, what is due, and what hangs from those, so the cost of a step does not grow
with the graph. Invariants: a report moves a component only from running and only for the attempt it speaks of; what is
late, doubled or unknown moves nothing and is named with the reason; a graph is ended at most once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from graphs.core.ends import Counts, End, decide_end, may_start
from graphs.core.states import COMPONENT, GRAPH


@dataclass(frozen=True)
class Node:
    """One change of the graph.

    `blockers` counts dependencies that are not completed; `attempts` is how often it may be sent in all.
    """

    state: str
    attempt: int
    blockers: int
    attempts: int = 1
    resend_at: datetime | None = None
    deadline_at: datetime | None = None


@dataclass(frozen=True)
class Snapshot:
    """What a step needs of a graph: the nodes reported on or due, and the dependants of each."""

    state: str
    cancel_requested: bool
    counts: Counts
    nodes: Mapping[str, Node]
    dependants: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Report:
    """What a provider said about a component. `outcome` is completed, errored or cancelled; attempt None is unknown."""

    component_id: str
    outcome: str
    reason: str = ""
    attempt: int | None = None


@dataclass(frozen=True)
class Move:
    """A component's new state. `report` is the position of the report that caused it, None for a deadline."""

    component_id: str
    state: str
    reason: str = ""
    report: int | None = None


@dataclass(frozen=True)
class Ignored:
    """A report without effect, and why."""

    report: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """What is to be written. `blockers` are new values, `ready` what may be started now."""

    moves: tuple[Move, ...]
    blockers: Mapping[str, int]
    ready: tuple[str, ...]
    ignored: tuple[Ignored, ...]
    counts: Counts
    end: End | None


def advance(snapshot: Snapshot, reports: Sequence[Report], now: datetime) -> Plan:
    """The plan for one graph: reports in the order they came, then what is due by `now`."""
    step = _Step(snapshot)
    for position, report in enumerate(reports):
        step.take(position, report)
    for component_id, node in snapshot.nodes.items():
        step.look_at_the_clock(component_id, node, now)
    return step.plan()


@dataclass
class _Step:
    snapshot: Snapshot
    moved: dict[str, Move] = field(default_factory=dict)
    ignored: list[Ignored] = field(default_factory=list)

    def take(self, position: int, report: Report) -> None:
        why_not = self.refusal(report)
        if why_not:
            self.ignored.append(Ignored(position, why_not))
            return
        outcome = report.outcome
        if outcome == "cancelled" and not self.snapshot.cancel_requested:
            outcome = "errored"
        self.move(Move(report.component_id, outcome, report.reason, position))

    def refusal(self, report: Report) -> str:
        """Why a report has no effect; empty when it has one."""
        node = self.snapshot.nodes.get(report.component_id)
        if node is None:
            return f"the graph has no component {report.component_id!r} to carry out"
        if self.snapshot.state in GRAPH.final:
            return f"the graph is {self.snapshot.state}"
        state = self.state_of(report.component_id, node)
        if state != "running":
            return f"the component is {state}, so no report is awaited"
        if report.attempt is not None and report.attempt != node.attempt:
            return f"it speaks of attempt {report.attempt}, and attempt {node.attempt} runs"
        return ""

    def look_at_the_clock(self, component_id: str, node: Node, now: datetime) -> None:
        if self.state_of(component_id, node) != "running" or self.snapshot.state in GRAPH.final:
            return
        if node.deadline_at is not None and node.deadline_at <= now:
            why = f"attempt {node.attempt} had no reply by {node.deadline_at.isoformat(timespec='seconds')}"
            again = node.attempt < node.attempts and self.starts_things
            self.move(Move(component_id, "waiting" if again else "errored", why))
        elif node.resend_at is not None and node.resend_at <= now:
            state = "cancelled" if self.snapshot.cancel_requested else "waiting"
            self.move(Move(component_id, state, f"attempt {node.attempt} is not known to have been sent"))

    @property
    def starts_things(self) -> bool:
        return may_start(self.snapshot.counts, self.snapshot.cancel_requested)

    def state_of(self, component_id: str, node: Node) -> str:
        move = self.moved.get(component_id)
        return move.state if move else node.state

    def move(self, move: Move) -> None:
        COMPONENT.check(self.snapshot.nodes[move.component_id].state, move.state)
        self.moved[move.component_id] = move

    def plan(self) -> Plan:
        counts = dict(self.snapshot.counts)
        for component_id, move in self.moved.items():
            counts[self.snapshot.nodes[component_id].state] -= 1
            counts[move.state] += 1
        blockers = self.lowered_blockers()
        over = self.snapshot.state in GRAPH.final
        return Plan(
            moves=tuple(self.moved.values()),
            blockers=blockers,
            ready=self.ready(blockers) if may_start(counts, self.snapshot.cancel_requested) else (),
            ignored=tuple(self.ignored),
            counts=counts,
            end=None if over else decide_end(counts, self.snapshot.cancel_requested),
        )

    def lowered_blockers(self) -> dict[str, int]:
        """New numbers of open dependencies for what hangs from the components completed now."""
        lowered: dict[str, int] = {}
        for component_id, move in self.moved.items():
            if move.state == "completed":
                for dependant in self.snapshot.dependants.get(component_id, ()):
                    before = lowered.get(dependant, self.snapshot.nodes[dependant].blockers)
                    lowered[dependant] = before - 1
        return lowered

    def ready(self, blockers: Mapping[str, int]) -> tuple[str, ...]:
        set_free = [name for name, left in blockers.items() if left == 0]
        again = [name for name, move in self.moved.items() if move.state == "waiting"]
        nodes = self.snapshot.nodes
        return tuple(again + [name for name in set_free if nodes[name].state == "waiting"])
