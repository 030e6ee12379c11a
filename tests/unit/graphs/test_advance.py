"""What reports mean for a graph."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from graphs.core.advance import Node, Plan, Report, Snapshot, advance
from graphs.core.ends import End, Standing, decide_end, rules_that_start

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
RUNNING = Node("running", 1, 0)


def counts(**given: int) -> dict[str, int]:
    return dict.fromkeys(("waiting", "running", "completed", "errored", "cancelled", "skipped"), 0) | given


def step(nodes: Mapping[str, Node], *reports: Report, **graph: object) -> Plan:
    settings: dict[str, object] = {"state": "running", "cancel_requested": False, "dependants": {}} | graph
    settings.setdefault("counts", counts(**{s: sum(n.state == s for n in nodes.values()) for s in counts()}))
    return advance(Snapshot(nodes=nodes, **settings), reports, NOW)  # type: ignore[arg-type]


def end(plan: Plan, *, cancel_requested: bool = False) -> End | None:
    """How the graph ends after the plan."""
    return decide_end(Standing(plan.counts, cancel_requested), startable=False)


def test_a_completed_component_sets_free_what_waited_only_for_it() -> None:
    nodes = {"a": RUNNING, "b": Node("waiting", 0, 1), "c": Node("waiting", 0, 2)}
    plan = step(nodes, Report("a", "completed"), dependants={"a": ["b", "c"]})

    assert [(move.component_id, move.state) for move in plan.moves] == [("a", "completed")]
    assert plan.blockers == {"b": 0, "c": 1}
    assert plan.ready == ("b",)
    assert end(plan) is None


def test_two_completed_dependencies_in_one_step_set_a_join_free() -> None:
    nodes = {"a": RUNNING, "b": RUNNING, "c": Node("waiting", 0, 2)}
    plan = step(nodes, Report("a", "completed"), Report("b", "completed"), dependants={"a": ["c"], "b": ["c"]})
    assert plan.ready == ("c",)


def test_after_an_error_nothing_is_ready() -> None:
    nodes = {"a": RUNNING, "b": RUNNING, "c": Node("waiting", 0, 1)}
    plan = step(nodes, Report("a", "errored", "boom"), Report("b", "completed"), dependants={"b": ["c"]})
    assert plan.ready == ()
    assert end(plan) == End("errored", "1 of 3 components failed, 1 not started")


def test_an_error_ends_the_graph_only_when_nothing_is_in_flight() -> None:
    assert end(step({"a": RUNNING, "b": RUNNING}, Report("a", "errored"))) is None


def test_the_last_completion_ends_the_graph() -> None:
    assert end(step({"a": RUNNING}, Report("a", "completed"))) == End("completed", "")


@pytest.mark.parametrize(
    ("node", "report", "why"),
    [
        (Node("completed", 1, 0), Report("a", "completed"), "the component is completed"),
        (Node("errored", 1, 0), Report("a", "completed"), "the component is errored"),
        (Node("waiting", 0, 0), Report("a", "completed"), "the component is waiting"),
        (RUNNING, Report("b", "completed"), "no component 'b'"),
        (Node("running", 3, 0), Report("a", "completed", attempt=2), "attempt 2, and attempt 3 runs"),
    ],
)
def test_a_report_that_is_not_awaited_moves_nothing(node: Node, report: Report, why: str) -> None:
    plan = step({"a": node}, report)
    assert plan.moves == ()
    assert why in plan.ignored[0].reason


def test_the_second_of_two_reports_in_one_step_moves_nothing() -> None:
    plan = step({"a": RUNNING}, Report("a", "completed"), Report("a", "errored"))
    assert [move.state for move in plan.moves] == ["completed"]
    assert plan.ignored[0].report == 1


def test_a_graph_that_is_over_takes_no_report() -> None:
    plan = step({"a": RUNNING}, Report("a", "completed"), state="cancelled")
    assert plan.empty
    assert "the graph is cancelled" in plan.ignored[0].reason


def test_a_report_of_the_running_attempt_counts() -> None:
    assert step({"a": Node("running", 2, 0)}, Report("a", "completed", attempt=2)).moves


def test_a_passed_deadline_is_an_error() -> None:
    plan = step({"a": Node("running", 1, 0, deadline_at=NOW)})
    assert plan.moves[0].state == "errored"
    assert plan.moves[0].reason == "attempt 1 had no reply by 2026-01-02T00:00:00+00:00"


def test_a_passed_deadline_is_another_attempt_where_there_is_one_left() -> None:
    assert step({"a": Node("running", 1, 0, 2, deadline_at=PAST)}).moves[0].state == "waiting"
    assert step({"a": Node("running", 2, 0, 2, deadline_at=PAST)}).moves[0].state == "errored"


def test_after_an_error_there_is_no_other_attempt() -> None:
    nodes = {"a": Node("running", 1, 0, 2, deadline_at=PAST), "b": Node("errored", 1, 0)}
    assert step(nodes).moves[0].state == "errored"


def test_a_reply_in_time_is_preferred_to_the_deadline() -> None:
    assert step({"a": Node("running", 1, 0, deadline_at=PAST)}, Report("a", "completed")).moves[0].state == "completed"


def test_what_is_not_known_to_be_sent_waits_again() -> None:
    plan = step({"a": Node("running", 1, 0, resend_at=PAST)})
    assert (plan.moves[0].state, plan.ready) == ("waiting", ("a",))
    assert plan.counts == counts(waiting=1)


def test_what_is_not_due_stays() -> None:
    assert step({"a": Node("running", 1, 0, resend_at=FUTURE, deadline_at=FUTURE)}).moves == ()


def test_what_is_not_known_to_be_sent_is_cancelled_with_its_graph() -> None:
    plan = step({"a": Node("running", 1, 0, resend_at=PAST)}, cancel_requested=True)
    assert plan.moves[0].state == "cancelled"
    assert end(plan, cancel_requested=True) == End("cancelled", "cancelled; 0 of 1 components were completed")


def test_a_provider_that_cancels_by_itself_has_failed() -> None:
    assert step({"a": RUNNING}, Report("a", "cancelled")).moves[0].state == "errored"
    assert step({"a": RUNNING}, Report("a", "cancelled"), cancel_requested=True).moves[0].state == "cancelled"


def test_a_cancelled_graph_ends_when_what_was_in_flight_is_back() -> None:
    assert decide_end(Standing(counts(running=1, cancelled=2), True), startable=False) is None
    assert decide_end(Standing(counts(completed=1, cancelled=2), True), startable=False) == End(
        "cancelled", "cancelled; 1 of 3 components were completed"
    )


def test_an_empty_graph_is_completed() -> None:
    assert decide_end(Standing(counts()), startable=False) == End("completed", "")


def test_nothing_new_starts_after_an_error_or_the_wish_to_cancel() -> None:
    assert rules_that_start(Standing(counts(waiting=1)))
    assert not rules_that_start(Standing(counts(waiting=1, errored=1)))
    assert not rules_that_start(Standing(counts(waiting=1), cancel_requested=True))
