"""Attempts, delays, deadlines, and what may be sent twice."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from graphs.core.advance import Node, Plan, Report, Snapshot, advance
from graphs.core.policy import DEFAULT, Policy, earliest_deadline, policy_faults, policy_of, retry_delay_s

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STATES = ("waiting", "running", "completed", "errored", "cancelled", "skipped")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def step(node: Node, *reports: Report, **graph: Any) -> Plan:
    counts = dict.fromkeys(STATES, 0) | {node.state: 1}
    settings: dict[str, Any] = {"state": "running", "cancel_requested": False, "dependants": {}, "counts": counts}
    return advance(Snapshot(nodes={"a": node}, **settings | graph), reports, NOW)


def running(**fields: Any) -> Node:
    return Node("running", 1, 0, **{"started_at": at(-60)} | fields)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"_queue_timeout_s": 0}, "_queue_timeout_s"),
        ({"_start_timeout_s": "5"}, "_start_timeout_s"),
        ({"_heartbeat_timeout_s": True}, "_heartbeat_timeout_s"),
        ({"_retry_delay_s": -1}, "_retry_delay_s"),
        ({"_retry_delay_max_s": []}, "_retry_delay_max_s"),
        ({"_resend": "sometimes"}, "_resend"),
        ({"_resend": {}}, "_resend"),
        ({"_rule": "all"}, "_rule"),
    ],
)
def test_a_wish_that_is_not_understood_is_a_fault_with_its_path(document: Mapping[str, Any], path: str) -> None:
    assert [fault.path for fault in policy_faults(document, "changes[0]")] == [f"changes[0].{path}"]


def test_a_policy_is_stored_as_what_it_asks_for_and_read_back() -> None:
    policy = policy_of({"_attempts": 3, "_heartbeat_timeout_s": 5, "_resend": "never"})
    assert policy.stored() == {"attempts": 3, "heartbeat_timeout_s": 5.0, "resend": "never"}
    assert Policy.of(policy.stored()) == policy
    assert DEFAULT.stored() is None


def test_delays_double_up_to_their_longest_and_differ_between_components() -> None:
    delays = [retry_delay_s(2, 60, attempt, "b1/a") for attempt in range(1, 12)]
    assert all(2**n <= delay <= 2 ** (n + 1) for n, delay in enumerate(delays[:5]))
    assert all(30 <= delay <= 60 for delay in delays[5:])
    assert retry_delay_s(2, 60, 1, "b1/a") == delays[0]
    assert len({retry_delay_s(2, 60, 1, f"b1/{n}") for n in range(50)}) > 40


def test_an_attempt_that_failed_is_followed_by_another_after_a_delay() -> None:
    plan = step(running(attempts=2, policy=Policy(retry_delay_s=8)), Report("a", "errored", "boom"))
    [move] = plan.moves
    assert (move.state, move.reason) == ("waiting", "boom")
    assert move.retry_at is not None
    assert at(4) <= move.retry_at <= at(8)
    assert (plan.blockers, plan.ready) == ({"a": 1}, ())


def test_after_its_delay_it_is_ready_again() -> None:
    plan = step(Node("waiting", 1, 1, retry_at=NOW))
    assert (plan.released, plan.blockers, plan.ready) == (("a",), {"a": 0}, ("a",))


@pytest.mark.parametrize(
    "report",
    [Report("a", "errored", final=True), Report("a", "errored", by="ann"), Report("a", "completed")],
)
def test_what_cannot_get_better_or_a_person_decided_is_not_tried_again(report: Report) -> None:
    assert step(running(attempts=5), report).moves[0].state == report.outcome


def test_the_earliest_deadline_is_the_one_that_counts() -> None:
    policy = Policy(start_timeout_s=5, heartbeat_timeout_s=3)
    unseen = earliest_deadline(policy, 60, NOW, None)
    seen = earliest_deadline(policy, 60, NOW, at(30))
    assert unseen is not None
    assert seen is not None
    assert (unseen.at, unseen.what) == (at(3), "gave no sign of life")
    assert (seen.at, seen.what) == (at(33), "gave no sign of life")
    assert earliest_deadline(DEFAULT, 0, NOW, None) is None


@pytest.mark.parametrize(
    ("policy", "seen_at", "what"),
    [
        (Policy(timeout_s=60), None, "had no reply"),
        (Policy(start_timeout_s=30), None, "was not begun"),
        (Policy(heartbeat_timeout_s=5), at(-6), "gave no sign of life"),
    ],
)
def test_a_deadline_that_passed_says_what_did_not_happen(policy: Policy, seen_at: datetime | None, what: str) -> None:
    plan = step(running(policy=policy, seen_at=seen_at, deadline_at=NOW))
    assert plan.moves[0].state == "errored"
    assert f"attempt 1 {what} by" in plan.moves[0].reason


def test_a_sign_of_life_is_seen_and_keeps_the_deadline_away() -> None:
    plan = step(running(deadline_at=NOW), Report("a", "progress"))
    assert (plan.moves, plan.seen) == ((), ("a",))


def test_what_was_ready_for_too_long_has_failed() -> None:
    node = Node("waiting", 0, 0, policy=Policy(queue_timeout_s=5), deadline_at=NOW)
    assert step(node).moves[0].reason == "was ready and not started within 5 s"


def test_a_paused_graph_does_not_fail_what_waits_in_it() -> None:
    node = Node("waiting", 0, 0, policy=Policy(queue_timeout_s=5), deadline_at=NOW)
    plan = step(node, paused=True)
    assert (plan.moves, plan.queued) == ((), {"a": None})


def test_what_becomes_ready_gets_its_time_in_the_queue() -> None:
    nodes = {"a": running(), "b": Node("waiting", 0, 1, policy=Policy(queue_timeout_s=9))}
    counts = dict.fromkeys(STATES, 0) | {"running": 1, "waiting": 1}
    plan = advance(Snapshot("running", False, counts, nodes, {"a": ["b"]}), [Report("a", "completed")], NOW)
    assert plan.queued == {"b": at(9)}


@pytest.mark.parametrize(
    ("node", "outcome"),
    [
        (running(deadline_at=NOW, attempts=2), "waiting"),
        (running(deadline_at=NOW, attempts=2, resendable=False), "attention"),
        (running(deadline_at=NOW, attempts=1, resendable=False), "errored"),
        (running(deadline_at=NOW, policy=Policy(resend="never"), resendable=False), "attention"),
        (running(resend_at=NOW), "waiting"),
        (running(resend_at=NOW, resendable=False), "attention"),
        (running(deadline_at=NOW, lapse="completed", resendable=False), "completed"),
    ],
)
def test_what_may_have_been_carried_out_is_sent_again_only_where_that_does_no_harm(node: Node, outcome: str) -> None:
    plan = step(node)
    assert [move.state for move in plan.moves] == ([] if outcome == "attention" else [outcome])
    assert list(plan.attention) == (["a"] if outcome == "attention" else [])


def test_a_late_reply_settles_what_needs_attention_and_the_clock_does_not() -> None:
    node = running(deadline_at=None, needs_attention=True, resendable=False)
    assert step(node).empty
    assert step(node, Report("a", "completed", attempt=1)).moves[0].state == "completed"


@pytest.mark.parametrize(
    ("state", "outcome", "allowed"),
    [
        ("waiting", "skipped", True),
        ("running", "completed", True),
        ("errored", "skipped", True),
        ("errored", "completed", True),
        ("completed", "skipped", False),
        ("completed", "errored", False),
        ("skipped", "completed", True),
    ],
)
def test_what_a_person_may_decide(state: str, outcome: str, allowed: bool) -> None:
    plan = step(Node(state, 1, 0), Report("a", outcome, by="ann"))
    assert bool(plan.moves) is allowed
    assert bool(plan.ignored) is not allowed


def test_marking_a_forgiven_failure_takes_it_off_the_count() -> None:
    node = Node("errored", 1, 0, forgiven=True)
    assert step(node, Report("a", "completed", by="ann"), forgiven=1).forgiven == 0
