"""Decides what reports mean for a graph: what is settled, what it sets free, what must be sent again.

A snapshot holds only what is reported on, what is due, and what hangs from those, so the cost of a step does not grow
with the graph. Invariants: a provider's report moves a component only from running and only for the attempt it speaks
of; what is late, doubled or unknown moves nothing and is named with the reason; what may have been carried out is not
sent again unless its verb or its mapping says that this does no harm. What is made for each component is a Struct,
which costs a tenth of a frozen dataclass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec import Struct

from graphs.core.ends import Counts, Standing, rules_left, rules_that_start
from graphs.core.policy import DEFAULT, Policy, earliest_deadline, retry_delay_s
from graphs.core.rules import ALL_COMPLETED, ANY, after_change, standing
from graphs.core.states import COMPONENT, GRAPH

PROGRESS = "progress"


class Node(Struct, frozen=True):
    """One change of the graph.

    `blockers` counts what it waits for: dependencies that its rule is still missing, and one more until `retry_at`.
    `attempts` is the last attempt that may fail and be followed by another. `resendable`: being carried out twice does
    no harm. `lapse` is how it ends when its time is up, where that leaves no doubt about what happened.
    """

    state: str
    attempt: int
    blockers: int
    attempts: int = 1
    resend_at: datetime | None = None
    deadline_at: datetime | None = None
    rule: str = ALL_COMPLETED
    policy: Policy = DEFAULT
    started_at: datetime | None = None
    seen_at: datetime | None = None
    retry_at: datetime | None = None
    resendable: bool = True
    lapse: str = ""
    needs_attention: bool = False
    decided_by: str = ""
    forgiven: bool = False


@dataclass(frozen=True)
class Snapshot:
    """What a step needs of a graph: the nodes reported on or due, and the dependants of each.

    `retry_delay_s` and `retry_delay_max_s` hold where a component does not say.
    """

    state: str
    cancel_requested: bool
    counts: Counts
    nodes: Mapping[str, Node]
    dependants: Mapping[str, Sequence[str]]
    graph_id: str = ""
    paused: bool = False
    forgiven: int = 0
    has_rules: bool = False
    retry_delay_s: float = 0
    retry_delay_max_s: float = 300

    def standing(self, counts: Counts, forgiven: int) -> Standing:
        """The graph as a whole, with other counts."""
        return Standing(counts, self.cancel_requested, self.paused, forgiven, self.has_rules)


class Report(Struct, frozen=True):
    """What a provider, or a person, said about a component.

    `outcome` is completed, errored, cancelled or progress, and by hand also skipped; attempt None is unknown. `final`:
    trying again cannot help. `unreachable`: the provider itself failed, not the component. `by` is the person.
    """

    component_id: str
    outcome: str
    reason: str = ""
    attempt: int | None = None
    final: bool = False
    unreachable: bool = False
    by: str = ""


class Move(Struct, frozen=True):
    """A component's new state. `report` is the position of the report that caused it, None for a deadline.

    `retry_at` is when a component that waits again may be sent again. `silent`: its provider did not answer, so nobody
    knows what became of the attempt. `by` is the person who decided.
    """

    component_id: str
    state: str
    reason: str = ""
    report: int | None = None
    retry_at: datetime | None = None
    silent: bool = False
    by: str = ""


@dataclass(frozen=True)
class Ignored:
    """A report without effect, and why."""

    report: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """What is to be written.

    `blockers` are new values, `ready` what may be started now, `released` what has waited long enough to be sent again.
    `attention` are components, with the reason, whose fate a person must decide. `seen` gave a sign of life. `queued`
    are new deadlines of what is ready; None where it could not be started anyway.
    """

    moves: tuple[Move, ...]
    blockers: Mapping[str, int]
    ready: tuple[str, ...]
    ignored: tuple[Ignored, ...]
    counts: Counts
    forgiven: int = 0
    released: tuple[str, ...] = ()
    attention: Mapping[str, str] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    queued: Mapping[str, datetime | None] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing but what was ignored is to be written."""
        return not (self.moves or self.blockers or self.attention)


def advance(snapshot: Snapshot, reports: Sequence[Report], now: datetime) -> Plan:
    """The plan for one graph: reports in the order they came, then what is due by `now`."""
    step = _Step(snapshot, now)
    for position, report in enumerate(reports):
        step.take(position, report)
    for component_id, node in snapshot.nodes.items():
        step.look_at_the_clock(component_id, node)
    return step.plan()


@dataclass
class _Step:
    snapshot: Snapshot
    now: datetime
    moved: dict[str, Move] = field(default_factory=dict)
    ignored: list[Ignored] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    attention: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    disarmed: list[str] = field(default_factory=list)

    def take(self, position: int, report: Report) -> None:
        why_not = self.refusal(report)
        if why_not:
            self.ignored.append(Ignored(position, why_not))
        elif report.outcome == PROGRESS:
            self.seen.append(report.component_id)
        elif report.outcome == "errored" and not report.by and not report.final and self.tries_again(report):
            self.again(report.component_id, report.reason, position)
        else:
            cancelled_itself = report.outcome == "cancelled" and not self.snapshot.cancel_requested
            outcome = "errored" if cancelled_itself else report.outcome
            self.move(Move(report.component_id, outcome, report.reason, position, by=report.by))

    def refusal(self, report: Report) -> str:
        """Why a report has no effect; empty when it has one."""
        node = self.snapshot.nodes.get(report.component_id)
        if node is None:
            return f"the graph has no component {report.component_id!r} to carry out"
        state = self.state_of(report.component_id, node)
        if report.by:
            return "" if COMPONENT.allows(state, report.outcome) else f"the component is {state}"
        if self.snapshot.state in GRAPH.final:
            return f"the graph is {self.snapshot.state}"
        if state != "running":
            return f"the component is {state}, so no report is awaited"
        if report.attempt is not None and report.attempt != node.attempt:
            return f"it speaks of attempt {report.attempt}, and attempt {node.attempt} runs"
        return ""

    def look_at_the_clock(self, component_id: str, node: Node) -> None:
        if component_id in self.moved:
            return
        if node.state == "waiting":
            self.look_at_waiting(component_id, node)
        elif node.state == "running" and component_id not in self.seen and not node.needs_attention:
            self.look_at_running(component_id, node)

    def look_at_waiting(self, component_id: str, node: Node) -> None:
        if node.retry_at is not None:
            if node.retry_at <= self.now:
                self.released.append(component_id)
        elif self.is_due(node.deadline_at):
            if self.snapshot.state in GRAPH.final or node.rule not in rules_that_start(self.graph):
                self.disarmed.append(component_id)
                return
            why = f"was ready and not started within {node.policy.queue_timeout_s:g} s"
            self.move(Move(component_id, "errored", why))

    def look_at_running(self, component_id: str, node: Node) -> None:
        if self.is_due(node.deadline_at):
            self.overdue(component_id, node)
        elif self.is_due(node.resend_at):
            why = f"attempt {node.attempt} is not known to have been sent"
            if self.snapshot.cancel_requested and node.rule not in rules_left(self.graph):
                self.move(Move(component_id, "cancelled", why, silent=True))
            elif node.resendable:
                self.move(Move(component_id, "waiting", why, silent=True))
            else:
                self.attention[component_id] = why

    def overdue(self, component_id: str, node: Node) -> None:
        """A deadline of what runs has passed: it is tried again, a person is asked, or it has failed."""
        why = _why_overdue(node, self.now)
        report = Report(component_id, "errored")
        if node.lapse:
            self.move(Move(component_id, node.lapse, why))
        elif node.policy.resend == "never" or (self.tries_again(report) and not node.resendable):
            self.attention[component_id] = why
        elif self.tries_again(report):
            self.again(component_id, why, None)
        else:
            self.move(Move(component_id, "errored", why, silent=True))

    def tries_again(self, report: Report) -> bool:
        """Whether a failed attempt is followed by another."""
        node = self.snapshot.nodes[report.component_id]
        return node.attempt < node.attempts and node.rule in rules_left(self.graph)

    def again(self, component_id: str, why: str, position: int | None) -> None:
        node = self.snapshot.nodes[component_id]
        base_s = node.policy.retry_delay_s or self.snapshot.retry_delay_s
        longest_s = max(node.policy.retry_delay_max_s or self.snapshot.retry_delay_max_s, base_s)
        delay_s = retry_delay_s(base_s, longest_s, node.attempt, f"{self.snapshot.graph_id}/{component_id}")
        retry_at = self.now + timedelta(seconds=delay_s) if delay_s else None
        self.move(Move(component_id, "waiting", why, position, retry_at, silent=position is None))

    @property
    def graph(self) -> Standing:
        return self.snapshot.standing(self.snapshot.counts, self.snapshot.forgiven)

    def is_due(self, at: datetime | None) -> bool:
        return at is not None and at <= self.now

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
        forgiven = self.snapshot.forgiven - sum(self.snapshot.nodes[name].forgiven for name in self.moved)
        blockers = self.new_blockers()
        ready = (
            () if self.snapshot.state in GRAPH.final else self.ready(blockers, self.snapshot.standing(counts, forgiven))
        )
        return Plan(
            moves=tuple(self.moved.values()),
            blockers=blockers,
            ready=ready,
            ignored=tuple(self.ignored),
            counts=counts,
            forgiven=forgiven,
            released=tuple(self.released),
            attention={name: why for name, why in self.attention.items() if name not in self.moved},
            seen=tuple(name for name in dict.fromkeys(self.seen) if name not in self.moved),
            queued=self.queued(ready),
        )

    def new_blockers(self) -> dict[str, int]:
        """New values for what hangs from the components over now, and for those that wait to be sent again."""
        changed = {name: self.snapshot.nodes[name].blockers - 1 for name in self.released}
        for component_id, move in self.moved.items():
            if move.retry_at is not None:
                changed[component_id] = self.snapshot.nodes[component_id].blockers + 1
            for dependant in self.snapshot.dependants.get(component_id, ()):
                node = self.snapshot.nodes[dependant]
                before = changed.get(dependant, node.blockers)
                after = before if node.retry_at and node.rule == ANY else self.after(component_id, move, node, before)
                if after != before:
                    changed[dependant] = after
        return changed

    def after(self, component_id: str, move: Move, dependant: Node, blockers: int) -> int:
        node = self.snapshot.nodes[component_id]
        before, now = standing(node.state, node.decided_by), standing(move.state, move.by)
        return after_change(dependant.rule, blockers, before, now)

    def ready(self, blockers: Mapping[str, int], graph: Standing) -> tuple[str, ...]:
        rules = rules_that_start(graph)
        set_free = [name for name, left in blockers.items() if left == 0]
        again = [name for name, move in self.moved.items() if move.state == "waiting" and move.retry_at is None]
        nodes = self.snapshot.nodes
        waiting = [name for name in set_free if name not in self.moved and nodes[name].state == "waiting"]
        return tuple(name for name in (*again, *waiting) if nodes[name].rule in rules)

    def queued(self, ready: Sequence[str]) -> dict[str, datetime | None]:
        waits_s = {name: self.snapshot.nodes[name].policy.queue_timeout_s for name in ready}
        armed = {name: self.now + timedelta(seconds=wait_s) for name, wait_s in waits_s.items() if wait_s}
        return {**dict.fromkeys(self.disarmed), **armed}


def _why_overdue(node: Node, now: datetime) -> str:
    """Which of the deadlines has passed."""
    at, what = node.deadline_at, "had no reply"
    if node.started_at is not None:
        passed = earliest_deadline(node.policy, node.policy.timeout_s, node.started_at, node.seen_at)
        if passed is not None and passed.at <= now:
            at, what = passed.at, passed.what
    return f"attempt {node.attempt} {what} by {at.isoformat(timespec='seconds') if at else 'now'}"
