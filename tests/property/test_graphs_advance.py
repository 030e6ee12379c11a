"""Any graph under any order of replies, doubled and late ones among them: the rules of running hold at every step."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.core.advance import Node, Report, Snapshot, advance
from graphs.core.document import parse
from graphs.core.ends import Standing, decide_end, rules_that_start
from graphs.core.order import dependants_of
from graphs.core.states import COMPONENT
from scheduler_project.toolkit.errors import InvalidDocument

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SIZE_MAX = 12


@st.composite
def dependencies(draw: st.DrawFn) -> dict[str, set[str]]:
    """A graph without circles: each component may need any of those before it."""
    size = draw(st.integers(0, SIZE_MAX))
    numbers = [draw(st.sets(st.integers(0, n - 1), max_size=4)) if n else set() for n in range(size)]
    return {f"c{n}": {f"c{m}" for m in needed} for n, needed in enumerate(numbers)}


class Run:
    """A graph kept in memory, moved by the plans of `advance` as the store would."""

    def __init__(self, needed: dict[str, set[str]]) -> None:
        self.needed = needed
        self.dependants = dependants_of(needed)
        self.states = dict.fromkeys(needed, "waiting")
        self.blockers = {name: len(names) for name, names in needed.items()}
        self.attempts = dict.fromkeys(needed, 0)
        self.counts = dict.fromkeys(COMPONENT.states, 0) | {"waiting": len(needed)}
        self.state = "running"
        self.cancel_requested = False
        self.ends: list[str] = []
        self.started: list[str] = []

    @property
    def standing(self) -> Standing:
        return Standing(self.counts, self.cancel_requested)

    def start_ready(self) -> None:
        for name, state in self.states.items():
            if state == "waiting" and not self.blockers[name] and rules_that_start(self.standing):
                assert self.state == "running"
                assert all(self.states[one] == "completed" for one in self.needed[name])
                self.started.append(name)
                self.attempts[name] += 1
                self.move(name, "running")

    def move(self, name: str, state: str) -> None:
        assert COMPONENT.allows(self.states[name], state)
        self.counts[self.states[name]] -= 1
        self.counts[state] += 1
        self.states[name] = state

    def step(self, reports: list[Report], lost: frozenset[str] = frozenset()) -> None:
        resend_at = NOW - timedelta(seconds=1)
        nodes = {
            name: Node(
                self.states[name],
                self.attempts[name],
                self.blockers[name],
                resend_at=resend_at if name in lost else None,
            )
            for name in self.needed
        }
        snapshot = Snapshot(self.state, self.cancel_requested, dict(self.counts), nodes, self.dependants)
        plan = advance(snapshot, reports, NOW)
        assert len(plan.ignored) + sum(move.report is not None for move in plan.moves) == len(reports)
        for move in plan.moves:
            self.move(move.component_id, move.state)
        assert plan.counts == self.counts
        self.blockers |= plan.blockers
        for name, names in self.needed.items():
            assert self.blockers[name] == sum(self.states[one] != "completed" for one in names)
        end = None if self.state != "running" else decide_end(self.standing, startable=False)
        if end is not None:
            self.state = end.state
            self.ends.append(end.state)

    def cancel(self) -> None:
        self.cancel_requested = True
        for name, state in self.states.items():
            if state == "waiting":
                self.move(name, "cancelled")
        self.step([])


REPORTS = st.lists(
    st.builds(
        Report,
        component_id=st.integers(0, SIZE_MAX + 1).map(lambda n: f"c{n}"),
        outcome=st.sampled_from(["completed"] * 6 + ["errored", "cancelled"]),
        attempt=st.none() | st.integers(1, 2),
    ),
    max_size=6,
)


@given(dependencies(), st.data())
@settings(max_examples=300, deadline=None)
def test_a_graph_moves_only_legally_and_ends_exactly_once(needed: dict[str, set[str]], data: st.DataObject) -> None:
    run = Run(needed)
    run.step([])
    for _ in range(data.draw(st.integers(0, 15))):
        run.start_ready()
        if data.draw(st.integers(0, 15)) == 0 and run.state == "running":
            run.cancel()
        run.step(data.draw(REPORTS), data.draw(st.frozensets(st.sampled_from(sorted(needed) or ["c0"]), max_size=2)))
    for _ in range(len(needed) + 1):
        run.start_ready()
        run.step([Report(name, "completed") for name, state in run.states.items() if state == "running"])
    assert len(run.ends) == 1
    assert run.state != "running"


@given(dependencies())
@settings(deadline=None)
def test_without_faults_every_component_is_started_once_and_completed(needed: dict[str, set[str]]) -> None:
    run = Run(needed)
    run.step([])
    while run.state == "running":
        run.start_ready()
        name = next(one for one, state in run.states.items() if state == "running")
        run.step([Report(name, "completed")])
    assert sorted(run.started) == sorted(needed)
    assert set(run.states.values()) <= {"completed"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
KEYS = ("id", "name", "user_id", "action", "options", "components", "changes", "edges", "other")
COMPONENTS = st.lists(
    st.dictionaries(st.sampled_from(("_component", "_component_id", "_action", "_provider", "_state")), JSON) | JSON,
    max_size=3,
)
MAPPINGS = st.dictionaries(st.sampled_from(KEYS), JSON | COMPONENTS) | JSON


def faults_of(document: Any) -> int:
    """The number of faults of a mapping; 0 when it is a graph."""
    try:
        parse(document, "new")
    except InvalidDocument as error:
        return len(error.faults)
    return 0


@given(MAPPINGS)
@settings(max_examples=500, deadline=None)
def test_any_value_is_either_a_graph_or_refused_with_faults(document: Any) -> None:
    assert faults_of(document) > 0 or isinstance(document, dict)
