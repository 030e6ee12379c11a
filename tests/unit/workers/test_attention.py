"""What is done about commands that nothing was heard of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workers.core.attention import ORDER_LIFE_S, STATE_AFTER, Quiet, Step, attend, place_again_at
from workers.core.states import COMMAND

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LOST_AFTER_S = 300
SENT = Quiet(
    state="scheduled",
    accepted=False,
    cancel_requested=False,
    worker="host-a",
    connected=True,
    gone_at=None,
    start_by=NOW + timedelta(hours=1),
    run_by=None,
)
RUNNING = replace(SENT, state="running", accepted=True)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def gone(seconds: float) -> dict[str, Any]:
    return {"connected": False, "gone_at": ago(seconds)}


@pytest.mark.parametrize(
    ("quiet", "step"),
    [
        (SENT, Step.SEND),
        (replace(SENT, cancel_requested=True), Step.STOP),
        (replace(SENT, start_by=NOW), Step.DEAD),
        (replace(SENT, **gone(1)), Step.WAIT),
        (replace(SENT, **gone(LOST_AFTER_S - 1), start_by=ago(60)), Step.WAIT),
        (replace(SENT, **gone(LOST_AFTER_S)), Step.DEAD),
        (replace(SENT, worker="", connected=False), Step.DEAD),
        (replace(SENT, cancel_requested=True, **gone(1)), Step.CANCEL),
        (replace(SENT, accepted=True), Step.ASK),
        (RUNNING, Step.ASK),
        (replace(RUNNING, cancel_requested=True), Step.STOP),
        (replace(RUNNING, start_by=ago(60)), Step.ASK),
        (replace(RUNNING, **gone(LOST_AFTER_S - 1)), Step.WAIT),
        (replace(RUNNING, **gone(LOST_AFTER_S)), Step.DEAD),
        (replace(RUNNING, **gone(20), run_by=ago(1)), Step.DEAD),
        (replace(RUNNING, run_by=ago(1)), Step.ASK),
        (replace(RUNNING, worker="", connected=False), Step.DEAD),
        (replace(RUNNING, state="dead"), Step.STOP),
        (replace(RUNNING, state="dead", **gone(1)), Step.WAIT),
        (replace(RUNNING, state="cancelled", worker="", connected=False), Step.FORGET),
    ],
)
def test_each_quiet_command_gets_its_step(quiet: Quiet, step: Step) -> None:
    assert attend(quiet, NOW, LOST_AFTER_S).step is step


@pytest.mark.parametrize("state", ["scheduled", "running", "done", "dead", "cancelled"])
@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("cancel_requested", [True, False])
@pytest.mark.parametrize("away", [{}, gone(1), gone(LOST_AFTER_S), {"worker": "", "connected": False}])
@pytest.mark.parametrize("start_by", [ago(1), None])
def test_what_was_sent_is_never_given_to_another_worker(
    state: str, accepted: bool, cancel_requested: bool, away: dict[str, Any], start_by: datetime | None
) -> None:
    quiet = replace(SENT, state=state, accepted=accepted, cancel_requested=cancel_requested, start_by=start_by, **away)

    step = attend(quiet, NOW, LOST_AFTER_S).step

    assert STATE_AFTER.get(step, quiet.state) in {state, *COMMAND.final}


def test_an_order_is_repeated_when_the_one_before_has_become_void() -> None:
    assert attend(SENT, NOW, LOST_AFTER_S).remind_at == NOW + timedelta(seconds=ORDER_LIFE_S)


def test_a_lost_worker_is_looked_at_again_exactly_when_its_time_is_over() -> None:
    quiet = replace(RUNNING, **gone(LOST_AFTER_S - 5))

    assert attend(quiet, NOW, LOST_AFTER_S).remind_at == NOW + timedelta(seconds=5)


def test_nothing_is_looked_at_often_for_a_worker_that_stays_away() -> None:
    attention = attend(replace(RUNNING, state="dead", **gone(1)), NOW, LOST_AFTER_S)

    assert attention.remind_at is not None
    assert attention.remind_at >= NOW + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("quiet", "reason"),
    [
        (replace(RUNNING, **gone(300)), "host-a is lost since 300 s with it; it may have run"),
        (replace(RUNNING, worker="", connected=False), "its worker was removed while it ran"),
        (
            replace(SENT, worker="", connected=False),
            "its worker was removed or replaced before it acknowledged it; it may have run",
        ),
        (replace(SENT, start_by=NOW), "host-a did not acknowledge it in time"),
        (replace(SENT, **gone(300)), "host-a is lost since 300 s before it acknowledged it; it may have run"),
    ],
)
def test_each_change_has_its_reason(quiet: Quiet, reason: str) -> None:
    assert attend(quiet, NOW, LOST_AFTER_S).reason == reason


@pytest.mark.parametrize(("waited_s", "pause_s"), [(0, 1), (4, 2), (1000, 15)])
def test_the_longer_a_command_waits_the_later_it_is_tried_again(waited_s: float, pause_s: float) -> None:
    assert place_again_at(ago(waited_s), NOW) == NOW + timedelta(seconds=pause_s)
