"""Any graph with any rules, outcomes, pauses, cancels, resumes and decisions by hand.

Nothing starts before its rule says so, a resume sends nothing completed again, and the graph ends once in every run
when everything settles.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.core.advance import Node, Report, Snapshot, advance
from graphs.core.draining import drain
from graphs.core.ends import Standing as Whole
from graphs.core.ends import decide_end, must_look, rules_left, rules_that_start
from graphs.core.order import dependants_of
from graphs.core.reopening import Past, resume, retry
from graphs.core.rules import AFTER_CANCEL, RULES, Standing, blockers, standing
from graphs.core.states import COMPONENT, GRAPH

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SIZE_MAX = 9


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Dependencies without circles, and a rule for each component."""
    size = draw(st.integers(1, SIZE_MAX))
    needed = {
        f"c{n}": {f"c{m}" for m in draw(st.sets(st.integers(0, n - 1), max_size=3))} if n else set()
        for n in range(size)
    }
    return needed, {name: draw(st.sampled_from(("all_completed", *RULES))) for name in needed}


class World:
    """A graph kept in memory and moved as the store moves it, with the invariants asserted at every step."""

    def __init__(self, needed: dict[str, set[str]], rules: dict[str, str]) -> None:
        self.needed, self.rules = needed, rules
        self.dependants = dependants_of(needed)
        self.states = dict.fromkeys(needed, "waiting")
        self.by = dict.fromkeys(needed, "")
        self.attempts = dict.fromkeys(needed, 0)
        self.forgiven: set[str] = set()
        self.state, self.cancelled, self.paused, self.ends, self.run = "running", False, False, 0, 1
        self.blockers = {name: self.missing(name) for name in needed}

    @property
    def counts(self) -> dict[str, int]:
        found = dict.fromkeys(COMPONENT.states, 0)
        for state in self.states.values():
            found[state] += 1
        return found

    @property
    def whole(self) -> Whole:
        has_rules = any(rule != "all_completed" for rule in self.rules.values())
        return Whole(self.counts, self.cancelled, self.paused, len(self.forgiven), has_rules)

    def standings(self, name: str) -> list[Standing]:
        return [standing(self.states[one], self.by[one]) for one in self.needed[name]]

    def missing(self, name: str) -> int:
        return blockers(self.rules[name], self.standings(name))

    def recount(self) -> None:
        self.blockers |= {name: self.missing(name) for name, state in self.states.items() if state == "waiting"}

    def move(self, name: str, state: str, by: str = "") -> None:
        if self.states[name] != state:
            COMPONENT.check(self.states[name], state)
        self.states[name], self.by[name] = state, by
        self.forgiven.discard(name)

    def start_ready(self) -> None:
        for name in self.needed:
            ready = self.states[name] == "waiting" and not self.blockers[name]
            if self.state == "running" and ready and self.rules[name] in rules_that_start(self.whole):
                assert self.missing(name) == 0
                assert not self.paused
                assert not self.cancelled or self.rules[name] in AFTER_CANCEL
                self.attempts[name] += 1
                self.move(name, "running")

    def report(self, *reports: Report) -> None:
        nodes = {
            name: Node(
                self.states[name],
                self.attempts[name],
                self.blockers[name],
                rule=self.rules[name],
                decided_by=self.by[name],
                forgiven=name in self.forgiven,
            )
            for name in self.needed
        }
        whole = self.whole
        facts: dict[str, Any] = {"paused": self.paused, "forgiven": whole.forgiven, "has_rules": whole.has_rules}
        snapshot = Snapshot(self.state, self.cancelled, self.counts, nodes, self.dependants, **facts)
        plan = advance(snapshot, reports, NOW + timedelta(seconds=self.run))
        for move in plan.moves:
            self.move(move.component_id, move.state, move.by)
        assert plan.counts == self.counts
        assert plan.forgiven == len(self.forgiven)
        self.blockers |= plan.blockers
        self.settle()

    def settle(self) -> None:
        """What the end of a transaction does."""
        for name, state in self.states.items():
            if state == "waiting":
                assert (self.blockers[name] == 0) == (self.missing(name) == 0)
        if self.state != "running":
            return
        if must_look(self.whole) and not self.startable():
            self.drain()
        end = decide_end(self.whole, startable=must_look(self.whole) and self.startable())
        if end is not None:
            GRAPH.check(self.state, end.state)
            self.state = end.state
            self.ends += 1
            assert self.ends == self.run
            assert "running" not in self.states.values()

    def startable(self) -> bool:
        left = rules_left(self.whole)
        return any(
            state == "waiting" and not self.blockers[name] and self.rules[name] in left
            for name, state in self.states.items()
        )

    def drain(self) -> None:
        if not self.whole.has_rules:
            return
        waiting = {name: self.rules[name] for name, state in self.states.items() if state == "waiting"}
        over = {name: standing(state, self.by[name]) for name, state in self.states.items() if state != "waiting"}
        found = drain(
            waiting, {name: list(needed) for name, needed in self.needed.items()}, over, rules_left(self.whole)
        )
        for name in found.skipped:
            self.move(name, "skipped")
        self.blockers |= found.blockers
        assert all(left == self.missing(name) for name, left in found.blockers.items())

    def cancel(self) -> None:
        again, self.cancelled = self.cancelled, True
        for name, state in self.states.items():
            if (state == "waiting" and (again or self.rules[name] not in AFTER_CANCEL)) or (
                state == "running" and again
            ):
                self.move(name, "cancelled")
        self.recount()
        self.settle()

    def reopen(self, name: str | None) -> None:
        """A resume, or a retry of one component."""
        past = {one: Past(state, self.attempts[one], by_hand=bool(self.by[one])) for one, state in self.states.items()}
        plan = resume(past) if name is None else retry(past, self.dependants, name)
        if plan.refused or (name is None and self.state not in ("errored", "cancelled")):
            return
        if self.state != "running":
            GRAPH.check(self.state, "running")
            self.state, self.run = "running", self.run + 1
        self.cancelled = False
        for reset in plan.resets:
            assert name is not None or past[reset.component_id].state != "completed"
            self.move(reset.component_id, reset.state)
        self.forgiven = {one for one, state in self.states.items() if state == "errored"} if name else set()
        self.recount()
        self.settle()

    def mark(self, name: str, outcome: str) -> None:
        if COMPONENT.allows(self.states[name], outcome):
            self.report(Report(name, outcome, by="ann"))


ACTIONS = st.sampled_from(["reply"] * 12 + ["pause", "unpause", "cancel", "resume", "retry", "mark"])


@given(graphs(), st.data())
@settings(max_examples=400, deadline=None)
def test_whatever_people_and_providers_do_a_graph_ends_once_in_every_run(
    graph: tuple[dict[str, set[str]], dict[str, str]], data: st.DataObject
) -> None:
    world = World(*graph)
    names = st.sampled_from(sorted(world.needed))
    world.settle()
    for action in data.draw(st.lists(ACTIONS, max_size=25)):
        world.start_ready()
        if action == "reply":
            world.report(Report(data.draw(names), data.draw(st.sampled_from(["completed", "completed", "errored"]))))
        elif action in ("pause", "unpause") and world.state == "running":
            world.paused = action == "pause"
        elif action == "cancel" and world.state == "running":
            world.cancel()
        elif action == "resume":
            world.reopen(None)
        elif action == "retry":
            world.reopen(data.draw(names))
        elif action == "mark":
            world.mark(data.draw(names), data.draw(st.sampled_from(["completed", "skipped", "errored"])))
    world.paused = False
    for _ in range(len(world.needed) + 1):
        world.start_ready()
        world.report(*(Report(name, "completed") for name, state in world.states.items() if state == "running"))
    assert world.state in GRAPH.final
    assert world.ends == world.run


@given(graphs(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_resume_comes_to_the_good_end_without_doing_anything_completed_again(
    graph: tuple[dict[str, set[str]], dict[str, str]], data: st.DataObject
) -> None:
    world = World(*graph)
    while world.state == "running":
        world.start_ready()
        outcomes = {name: data.draw(st.booleans()) for name, state in world.states.items() if state == "running"}
        world.report(*(Report(name, "completed" if well else "errored") for name, well in outcomes.items()))
    completed = {name for name, state in world.states.items() if state == "completed"}
    before = dict(world.attempts)
    world.reopen(None)
    while world.state == "running":
        world.start_ready()
        world.report(*(Report(name, "completed") for name, state in world.states.items() if state == "running"))
    assert set(world.states.values()) == {"completed"}
    assert all(world.attempts[name] == before[name] for name in completed)
