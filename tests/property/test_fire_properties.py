"""However late a topology is looked at, each of its instants becomes exactly one run or part of a missed one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from topologies.core.fire import Due, decide
from topologies.core.triggers import CronTrigger

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@given(
    st.sampled_from(["0 * * * * ?", "0/7 * * * * ?", "30 0/5 * * * ?", "0 0 * * * ?"]),
    st.integers(0, 3600),
    st.integers(1, 600),
    st.sampled_from(["skip", "allow"]),
    st.booleans(),
)
def test_every_due_instant_is_told_of_once(
    expression: str, late_s: int, grace_s: int, overlap: str, running: bool
) -> None:
    trigger = CronTrigger(expression, "UTC")
    fires_at = trigger.next_after(NOON)
    assert fires_at is not None
    now = fires_at + timedelta(seconds=late_s)

    firing = decide(Due(trigger, overlap, fires_at, "run r1" if running else ""), now, grace_s)

    instants = [instant for instant in trigger.upcoming(fires_at - timedelta(seconds=1), late_s + 2) if instant <= now]
    timely = [instant for instant in instants if instant >= now - timedelta(seconds=grace_s)]
    missed = [fire for fire in firing.fires if fire.state == "missed"]
    assert [fire.scheduled_at for fire in firing.fires if fire.state != "missed"] == timely
    assert [fire.scheduled_at for fire in missed] == ([fires_at] if len(timely) < len(instants) else [])
    if missed and len(instants) - len(timely) <= 1000:
        assert missed[0].reason.startswith(f"{len(instants) - len(timely)} fire")
    assert firing.next_at is not None
    assert firing.next_at > now
    if overlap == "skip":
        assert sum(fire.state == "running" for fire in firing.fires) <= (0 if running else 1)
