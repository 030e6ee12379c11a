"""What becomes of fires that are due, and of runs whose graphs have ended."""

from datetime import UTC, datetime, timedelta

import pytest

from topologies.core.fire import Due, Fire, Outcome, decide, in_progress, outcome
from topologies.core.triggers import AtTrigger, CronTrigger, ManualTrigger, trigger_of

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY_MINUTE = CronTrigger("0 * * * * ?", "UTC")


def due(overlap: str = "skip", running: str = "", fires_at: datetime = NOON) -> Due:
    return Due(EVERY_MINUTE, overlap, fires_at, running)


def test_a_fire_on_time_runs_and_the_next_follows() -> None:
    firing = decide(due(), NOON, grace_s=60)

    assert firing.fires == (Fire("running", "cron", NOON),)
    assert firing.next_at == NOON + MINUTE


def test_a_fire_exactly_at_the_end_of_the_grace_still_runs() -> None:
    assert [fire.state for fire in decide(due("allow"), NOON + MINUTE, grace_s=60).fires] == ["running", "running"]


def test_one_fire_beyond_the_grace_is_missed() -> None:
    missed, fired = decide(due(), NOON + timedelta(seconds=61), grace_s=60).fires

    assert (missed.state, missed.scheduled_at) == ("missed", NOON)
    assert missed.reason.startswith("1 fire from 2026-05-04T12:00:00+00:00 on")
    assert (fired.state, fired.scheduled_at) == ("running", NOON + MINUTE)


def test_of_several_due_fires_the_first_runs_and_the_others_overlap_with_it() -> None:
    first, second = decide(due(), NOON + MINUTE, grace_s=120).fires

    assert (first.state, second.state) == ("running", "skipped")
    assert "the run of 2026-05-04T12:00:00+00:00 was still in progress" in second.reason


def test_a_run_in_progress_is_named_where_it_is_the_reason_to_skip() -> None:
    (fire,) = decide(due(running=in_progress(["r1", "r2"])), NOON, grace_s=60).fires

    assert fire.state == "skipped"
    assert fire.reason == "run r1 was still in progress, and overlap is skip"


def test_an_instant_fires_once() -> None:
    firing = decide(Due(AtTrigger(NOON), "skip", NOON, ""), NOON + timedelta(seconds=1), grace_s=60)

    assert firing.fires == (Fire("running", "once", NOON),)
    assert firing.next_at is None


def test_an_instant_that_was_slept_through_is_missed_and_does_not_run_late() -> None:
    firing = decide(Due(AtTrigger(NOON), "skip", NOON, ""), NOON + timedelta(hours=1), grace_s=60)

    assert [fire.state for fire in firing.fires] == ["missed"]
    assert firing.next_at is None


@pytest.mark.parametrize(
    ("kind", "graph_state", "expected"),
    [
        ("cron", "completed", Outcome("successful", "")),
        ("once", "completed", Outcome("completed", "")),
        ("instant", "completed", Outcome("completed", "")),
        ("cron", "errored", Outcome("failed", "why")),
        ("instant", "cancelled", Outcome("cancelled", "why")),
    ],
)
def test_a_run_ends_as_its_graph_did(kind: str, graph_state: str, expected: Outcome) -> None:
    assert outcome(kind, graph_state, "why") == expected


@pytest.mark.parametrize("trigger", [EVERY_MINUTE, AtTrigger(NOON), ManualTrigger()])
def test_a_trigger_is_what_its_document_says(trigger: CronTrigger | AtTrigger | ManualTrigger) -> None:
    assert trigger_of(trigger.document()) == trigger


def test_a_trigger_by_hand_never_fires() -> None:
    assert ManualTrigger().next_after(NOON) is None
    assert ManualTrigger().upcoming(NOON, 5) == []


def test_the_upcoming_fire_of_an_instant_is_that_instant_until_it_is_over() -> None:
    assert AtTrigger(NOON).upcoming(NOON - MINUTE, 5) == [NOON]
    assert AtTrigger(NOON).upcoming(NOON, 5) == []
