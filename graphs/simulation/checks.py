"""What must hold in every history, judged from the events that it committed and the messages that it sent."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from graphs.core.ends import Standing as GraphStanding
from graphs.core.ends import rules_that_start
from graphs.core.rules import AFTER_CANCEL, blockers, standing
from graphs.core.states import COMPONENT, GRAPH
from graphs.models import Component, Graph
from graphs.simulation.cases import Case
from graphs.simulation.connector import key_of
from graphs.simulation.journal import Told
from graphs.simulation.world import World

COMPONENT_EVENTS = tuple(f"component.{state}" for state in COMPONENT.states)
ENDS = tuple(f"graph.{state}" for state in GRAPH.final)


def violations(world: World) -> list[str]:
    """Everything that a finished history did wrong; empty for a good one."""
    found = list(world.bugs)
    for case in world.cases:
        told = [one for one in world.journal.told if one.graph_id == case.id]
        found += _Replay(case).violations(told)
        found += _wrong_end(case, told)
    return [*found, *_wrong_sends(world), *_wrong_completions(world), *_wrong_announcements(world)]


@dataclass
class _Replay:
    """One graph's events, followed from the first to the last."""

    case: Case
    states: dict[str, str] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    deciders: dict[str, str] = field(default_factory=dict)
    settled: Counter[tuple[str, int]] = field(default_factory=Counter)
    cancelled: bool = False
    paused: bool = False
    ended: bool = False
    forgiven: set[str] = field(default_factory=set)

    def violations(self, told: list[Told]) -> list[str]:
        """What is wrong with the order of these events."""
        self.states = dict.fromkeys(self.case.needs, "waiting")
        found: list[str] = []
        for number, one in enumerate(told, 1):
            if one.data.get("number") != number:
                found.append(f"{self.case.id}: event {number} of the log is numbered {one.data.get('number')}")
            found += [f"{self.case.id}, event {number}: {wrong}" for wrong in self._wrong(one)]
        return found

    def _wrong(self, one: Told) -> Iterator[str]:
        if one.name in ENDS:
            if self.ended:
                yield f"{one.name}, but it had ended in this run"
            self.ended = True
        elif one.name == "graph.cancel_requested":
            self._cancel()
        elif one.name in ("graph.paused", "graph.unpaused"):
            self.paused = one.name == "graph.paused"
        elif one.name in ("graph.resumed", "graph.retried"):
            self._reopen(one.name)
        elif one.name in COMPONENT_EVENTS:
            yield from self._wrong_move(one, str(one.data["component"]), str(one.data["state"]))

    def _cancel(self) -> None:
        self.cancelled = True
        for name, state in self.states.items():
            if state == "waiting" and self.case.rules[name] not in AFTER_CANCEL:
                self.states[name] = "cancelled"

    def _reopen(self, name: str) -> None:
        """A person lets the graph go on; after a retry, what has failed elsewhere does not stop it."""
        self.paused = self.paused and not self.ended
        self.cancelled = self.ended = False
        failed = {name for name, state in self.states.items() if state == "errored"}
        self.forgiven = failed if name == "graph.retried" else set()

    def _wrong_move(self, one: Told, name: str, state: str) -> Iterator[str]:
        before, attempt = self.states[name], int(one.data["attempt"])
        if not COMPONENT.allows(before, state) and not (one.actor and before in COMPONENT.final):
            yield f"{name} went from {before} to {state}"
        if self.ended and not one.actor:
            yield f"{name} became {state} after the end of its graph"
        self.forgiven.discard(name)
        if one.actor:
            self.settled[name, attempt] = 0
        elif state == "running":
            yield from self._wrong_start(name, attempt)
        elif before == "running":
            self.settled[name, attempt] += 1
            if self.settled[name, attempt] > 1:
                yield f"attempt {attempt} of {name} was settled twice"
            if attempt != self.attempts[name]:
                yield f"{name} was settled by attempt {attempt} while attempt {self.attempts[name]} ran"
        self.states[name] = state
        self.deciders[name] = one.actor

    def _wrong_start(self, name: str, attempt: int) -> Iterator[str]:
        if attempt != self.attempts[name] + 1:
            yield f"attempt {attempt} of {name} follows attempt {self.attempts[name]}"
        self.attempts[name] = attempt
        rule = self.case.rules[name]
        needed = [standing(self.states[one], self.deciders.get(one, "")) for one in self.case.needs[name]]
        if blockers(rule, needed):
            told = ", ".join(f"{one} {self.states[one]}" for one in self.case.needs[name])
            yield f"{name} started with the rule {rule} before it was met: {told}"
        if rule not in rules_that_start(self._standing()):
            yield f"{name} started after the graph had failed, or was cancelled or paused"

    def _standing(self) -> GraphStanding:
        counts = dict.fromkeys(COMPONENT.states, 0) | Counter(self.states.values())
        return GraphStanding(counts, self.cancelled, self.paused, len(self.forgiven), has_rules=True)


def _wrong_end(case: Case, told: list[Told]) -> Iterator[str]:
    """A graph ends, its row says what its components say, and its last event is the log's last number."""
    graph = Graph.objects.get(pk=case.id)
    if graph.state not in GRAPH.final:
        yield f"{case.id} does not end: {graph.state}, {graph.counts}"
    if graph.announced_at is None:
        yield f"{case.id}: its end is not announced"
    counted = Counter(Component.objects.changes().filter(graph=graph).values_list("state", flat=True))
    if dict(graph.counts) != dict.fromkeys(COMPONENT.states, 0) | counted:
        yield f"{case.id} counts {graph.counts}, and its components are {dict(counted)}"
    if graph.events != len(told):
        yield f"{case.id} says that it has {graph.events} events, and there are {len(told)}"


def _wrong_sends(world: World) -> Iterator[str]:
    """Each attempt is sent at most once, and only one that was started."""
    started = {
        (one.graph_id, str(one.data["component"]), int(one.data["attempt"]))
        for one in world.journal.told
        if one.name == "component.running"
    }
    sent = Counter(
        key_of(message, json.loads(message.data))
        for message in world.network.published
        if message.subject.startswith("thing.")
    )
    for (graph_id, name, attempt), times in sent.items():
        if times > 1:
            yield f"{graph_id}: attempt {attempt} of {name} was sent {times} times"
        if (graph_id, name, attempt) not in started:
            yield f"{graph_id}: attempt {attempt} of {name} was sent and never started"


def _wrong_completions(world: World) -> Iterator[str]:
    """What is completed was completed by the far end before, in that very attempt, or by hand."""
    said_at_s = world.connector.said_at_s
    for one in world.journal.told:
        if one.name == "component.completed" and not one.actor:
            name, attempt = str(one.data["component"]), int(one.data["attempt"])
            if said_at_s.get(((one.graph_id, name, attempt), "completed"), world.now_s + 1) > one.at_s:
                yield f"{one.graph_id}: {name} is completed, and nobody had done its attempt {attempt}"


def _wrong_announcements(world: World) -> Iterator[str]:
    """The end of each run is announced, and again only where a bridge died before it could note that."""
    told = Counter((one.graph_id, one.name) for one in world.journal.told if one.name in ENDS)
    ends = Counter(graph_id for graph_id, _ in told.elements())
    announced = Counter(
        str(json.loads(message.data)["id"])
        for message in world.network.published
        if message.subject.startswith("build.")
    )
    for graph_id, times in announced.items():
        if times > ends[graph_id] + world.unmarked[graph_id]:
            yield f"{graph_id} ended {ends[graph_id]} times, and its end was announced {times} times"
