"""What agents' reports do to a task, and what they cannot do."""

from datetime import timedelta

import pytest

from clusters.core.reports import Progress, advance
from tests.support.cluster_world import NOON
from workers.protocol import Accepted, Refused, Report, TaskState, Unknown

UNIT = "task/t1"


def task(state: str = "issued", **fields: object) -> Progress:
    wanted = {"resend_at": NOON, **fields}
    return Progress("t1", 1, "id-a", "host-a", state, **wanted)  # type: ignore[arg-type]


def says(state: str, attempt: int = 1, reason: str = "", restarts: int = 0) -> TaskState:
    return TaskState(unit=UNIT, attempt=attempt, at=0, state=state, reason=reason, restarts=restarts)


def after(before: Progress, *reports: Report, host: str = "host-a") -> Progress:
    return advance(before, reports, host, "session-2", NOON)


def test_a_task_goes_from_issued_to_running_in_one_envelope() -> None:
    done = after(task(), Accepted(unit=UNIT, attempt=1, at=0), says("starting"), says("running"))

    assert (done.state, done.started_at, done.resend_at, done.session) == ("running", NOON, None, "session-2")


def test_accepting_alone_only_ends_the_sending() -> None:
    done = after(task(), Accepted(unit=UNIT, attempt=1, at=0))

    assert (done.state, done.resend_at) == ("issued", None)


@pytest.mark.parametrize("state", ["starting", "running", "failing", "stopped", "rejected"])
def test_a_late_attempt_or_another_host_changes_nothing(state: str) -> None:
    before = task("running")

    assert after(before, says(state, attempt=2)) == before
    assert after(before, says(state), host="host-b") == before


@pytest.mark.parametrize("final", ["stopped", "rejected"])
def test_an_ended_task_stays_as_it_ended(final: str) -> None:
    before = task(final, resend_at=None)

    assert after(before, says("running"), Unknown(unit=UNIT, attempt=1, at=0)) == before


def test_reasons_and_restarts_are_kept() -> None:
    done = after(task("running"), says("failing", reason="answers: refused", restarts=2))

    assert (done.state, done.reason, done.restarts) == ("failing", "answers: refused", 2)


def test_fault_2_a_rejected_task_counts_a_failure_and_its_host_is_avoided() -> None:
    done = after(task("failing", failures=1, avoid=("id-b", "id-a")), says("rejected", reason="too many attempts"))

    assert (done.state, done.reason, done.failures) == ("rejected", "too many attempts", 2)
    assert done.avoid == ("id-b", "id-a")
    assert done.next_issue_at == NOON + timedelta(seconds=2)
    assert done.ended_at == NOON


def test_fault_2_failures_are_forgotten_only_when_it_really_runs() -> None:
    starting = after(task(failures=3, avoid=("id-b",)), says("starting"))
    running = after(starting, says("running"))

    assert (starting.failures, running.failures, running.avoid) == (3, 0, ())


def test_a_refused_task_is_rejected_with_the_agents_reason() -> None:
    done = after(task(), Refused(unit=UNIT, attempt=1, at=0, reason="host-a is draining"))

    assert (done.state, done.reason) == ("rejected", "host-a is draining")
    assert done.next_issue_at is not None


def test_a_task_that_the_agent_stopped_unasked_is_issued_again() -> None:
    done = after(task("running"), says("stopped"))

    assert (done.state, done.reason) == ("stopped", "the agent stopped it unasked")
    assert done.next_issue_at is not None


def test_an_issued_task_that_never_arrived_is_sent_again_at_once() -> None:
    done = after(task(resend_at=None), Unknown(unit=UNIT, attempt=1, at=0))

    assert (done.state, done.resend_at) == ("issued", NOON)


def test_a_running_task_that_the_agent_has_forgotten_is_lost() -> None:
    done = after(task("running"), Unknown(unit=UNIT, attempt=1, at=0))

    assert (done.state, done.reason) == ("lost", "the agent does not know it any more")
    assert done.resend_at is None


@pytest.mark.parametrize("last", [says("stopped"), says("rejected"), Unknown(unit=UNIT, attempt=1, at=0)])
def test_a_stopping_task_has_stopped_when_the_agent_has_nothing_of_it_any_more(last: Report) -> None:
    done = after(task("stopping"), says("running"), says("stopping"), last)

    assert (done.state, done.resend_at, done.next_issue_at) == ("stopped", None, None)


def test_a_stopping_task_is_told_again_until_then() -> None:
    before = task("stopping")

    assert after(before, says("running")) == before


def test_fault_4_a_lost_task_that_comes_back_is_told_to_stop_until_it_has() -> None:
    back = after(task("lost", resend_at=None), says("running"))
    done = after(back, says("stopped"))

    assert (back.state, back.resend_at) == ("lost", NOON)
    assert (done.state, done.resend_at) == ("lost", None)


def test_a_report_of_stopping_waits_for_the_end() -> None:
    assert after(task("running"), says("stopping")).state == "running"
