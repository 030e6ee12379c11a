"""What an agent's report makes of a command, in every state and order."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from workers.core.reports import ASK_AFTER_S, REPORT_WITHIN_S, CommandNow, judge, moment
from workers.core.states import COMMAND
from workers.protocol import Accepted, Ended, Refused, Report, Started, TaskState, Unknown

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = NOW.timestamp()
ON: dict[str, Any] = {"unit": "command/c1", "attempt": 1, "at": AT}

ACCEPTED = Accepted(**ON)
STARTED = Started(**ON, pid=7)
ENDED = Ended(**ON, exit_code=0)
REFUSED = Refused(**ON, reason="is full")
UNKNOWN = Unknown(**ON)


def command(state: str, **fields: Any) -> CommandNow:
    return CommandNow(state=state, attempt=1, worker="host-a", **fields)


def state_after(before: CommandNow, report: Report) -> str:
    return str(judge(before, report, "host-a", NOW).fields.get("state", before.state))


@pytest.mark.parametrize(
    ("before", "report", "after"),
    [
        (command("scheduled"), ACCEPTED, "scheduled"),
        (command("scheduled"), STARTED, "running"),
        (command("scheduled"), ENDED, "done"),
        (command("scheduled"), REFUSED, "pending"),
        (command("scheduled"), UNKNOWN, "scheduled"),
        (command("scheduled", accepted=True), UNKNOWN, "dead"),
        (command("scheduled", cancel_requested=True), REFUSED, "cancelled"),
        (command("scheduled", cancel_requested=True), UNKNOWN, "cancelled"),
        (command("running"), ACCEPTED, "running"),
        (command("running"), STARTED, "running"),
        (command("running"), ENDED, "done"),
        (command("running"), REFUSED, "running"),
        (command("running"), UNKNOWN, "dead"),
        (command("pending"), ACCEPTED, "scheduled"),
        (command("pending"), STARTED, "running"),
        (command("pending"), ENDED, "done"),
        (command("pending"), UNKNOWN, "pending"),
    ],
)
def test_a_report_of_the_present_attempt_moves_the_command(before: CommandNow, report: Report, after: str) -> None:
    assert state_after(before, report) == after
    assert after == before.state or COMMAND.allows(before.state, after)


@pytest.mark.parametrize(
    ("ending", "cancel_requested", "state", "reason"),
    [
        ({"exit_code": 0}, False, "done", ""),
        ({"exit_code": 7}, False, "done", ""),
        ({"signal": 9}, False, "done", ""),
        ({"exit_code": 137, "told": "OOMKilled"}, False, "done", "OOMKilled"),
        (
            {"exit_code": 137, "told": "OOMKilled", "timed_out": True},
            False,
            "done",
            "stopped after its time limit of 5 s",
        ),
        ({"signal": 15, "timed_out": True}, False, "done", "stopped after its time limit of 5 s"),
        ({"start_error": "no such file"}, False, "dead", "it could not be started: no such file"),
        ({"lost": "supervisor is gone"}, False, "dead", "its end could not be learnt: supervisor is gone"),
        ({"signal": 15, "cancelled": True}, True, "cancelled", "ann asked"),
        ({"signal": 15, "cancelled": True}, False, "done", ""),
        ({"exit_code": 0}, True, "done", ""),
    ],
)
def test_how_it_ended_decides_the_final_state(
    ending: dict[str, Any], cancel_requested: bool, state: str, reason: str
) -> None:
    before = command("running", cancel_requested=cancel_requested, timeout_s=5, reason="ann asked")

    verdict = judge(before, Ended(**ON, **ending), "host-a", NOW)

    assert (verdict.fields["state"], verdict.fields["reason"]) == (state, reason)
    assert verdict.fields["ended_at"] == NOW
    assert {name: verdict.fields[name] for name in ending if name in verdict.fields} == {
        name: value for name, value in ending.items() if name in verdict.fields
    }


@pytest.mark.parametrize("state", sorted(COMMAND.final))
@pytest.mark.parametrize("report", [ACCEPTED, STARTED, ENDED, REFUSED, UNKNOWN])
def test_a_final_state_is_never_left(state: str, report: Report) -> None:
    assert "state" not in judge(command(state), report, "host-a", NOW).fields


@pytest.mark.parametrize("state", COMMAND.states)
@pytest.mark.parametrize("report", [ACCEPTED, STARTED, ENDED, REFUSED, UNKNOWN])
def test_a_report_of_an_older_attempt_changes_nothing_and_is_told(state: str, report: Report) -> None:
    verdict = judge(CommandNow(state=state, attempt=2, worker="host-a"), report, "host-a", NOW)

    assert not verdict.fields
    assert "attempt 1" in verdict.late
    assert verdict.stop == isinstance(report, Accepted | Started)


@pytest.mark.parametrize("state", ["dead", "cancelled"])
@pytest.mark.parametrize("report", [ACCEPTED, STARTED])
def test_what_goes_on_after_it_was_given_up_is_stopped(state: str, report: Report) -> None:
    assert judge(command(state), report, "host-a", NOW).stop


@pytest.mark.parametrize("order", list(permutations([ACCEPTED, STARTED, ENDED])))
def test_the_order_of_arrival_does_not_matter(order: tuple[Report, ...]) -> None:
    state, late = "scheduled", ""
    for report in order:
        verdict = judge(command(state), report, "host-a", NOW)
        state, late = str(verdict.fields.get("state", state)), late or verdict.late

    assert (state, late) == ("done", "")


def test_a_host_that_is_not_its_worker_changes_nothing() -> None:
    verdict = judge(command("scheduled"), STARTED, "host-b", NOW)

    assert not verdict.fields
    assert (verdict.late, verdict.stop) == ("host-b reported on it, which is not its worker", True)


def test_an_agent_that_does_not_know_what_has_ended_owes_nothing() -> None:
    verdict = judge(command("cancelled"), UNKNOWN, "host-a", NOW)

    assert (verdict.fields, verdict.late) == ({"remind_at": None}, "")


def test_an_end_that_comes_twice_is_late() -> None:
    assert judge(command("done"), ENDED, "host-a", NOW).late == "Ended came after it had become done"


def test_an_accepted_command_is_asked_after_later() -> None:
    fields = judge(command("scheduled"), ACCEPTED, "host-a", NOW).fields

    assert fields == {"remind_at": NOW + timedelta(seconds=ASK_AFTER_S), "accepted_at": NOW, "ack_by": None}


def test_a_time_limit_sets_when_the_end_must_have_been_reported() -> None:
    fields = judge(command("scheduled", timeout_s=30, grace_s=5), STARTED, "host-a", NOW).fields

    assert fields["run_by"] == NOW + timedelta(seconds=30 + 5 + REPORT_WITHIN_S)
    assert judge(command("scheduled"), STARTED, "host-a", NOW).fields["run_by"] is None


def test_a_report_of_another_kind_of_unit_means_nothing() -> None:
    verdict = judge(command("running"), TaskState(**ON, state="running"), "host-a", NOW)

    assert not verdict.fields
    assert "TaskState" in verdict.late


def test_times_are_utc() -> None:
    assert moment(AT) == NOW
