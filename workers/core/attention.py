"""What to do about a command that nothing has been heard of for a while.

Invariant: what was sent to a worker may have run there, acknowledged or not, so it is sent to no other: it is repeated
to the same worker, whose journal takes each attempt once, or it is dead. What follows is for the command's own retries
to say. A worker that comes back brings forward what waits for it, so nothing is looked at again and again meanwhile.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from workers.core.reports import ASK_AFTER_S
from workers.core.states import COMMAND

ORDER_LIFE_S = 10
AWAY_S = 3600
UNACKNOWLEDGED = "before it acknowledged it; it may have run"
PLACE_AGAIN_MIN_S = 1.0
PLACE_AGAIN_MAX_S = 15.0


class Step(StrEnum):
    """What is done about the command."""

    SEND = "send the order again"
    STOP = "send the order to stop again"
    ASK = "ask its agent"
    WAIT = "wait for its agent"
    CANCEL = "cancelled"
    DEAD = "dead"
    FORGET = "nothing is left to be done"


STATE_AFTER = {Step.CANCEL: "cancelled", Step.DEAD: "dead"}


@dataclass(frozen=True)
class Quiet:
    """A sent command that is due for attention, and its worker. `gone_at`: when that became disconnected."""

    state: str
    accepted: bool
    cancel_requested: bool
    worker: str
    connected: bool
    gone_at: datetime | None
    start_by: datetime | None
    run_by: datetime | None
    reason: str = ""


@dataclass(frozen=True)
class Attention:
    """The step, its reason where the state changes, and when to look again (None for never)."""

    step: Step
    reason: str = ""
    remind_at: datetime | None = None


def attend(quiet: Quiet, now: datetime, lost_after_s: float) -> Attention:
    """Decides about one command. `lost_after_s`: how long a disconnected worker is waited for."""
    if quiet.state in COMMAND.final:
        return _owed_stop(quiet, now)
    if not quiet.accepted:
        return _never_acknowledged(quiet, now, lost_after_s)
    if not quiet.connected:
        return _gone(quiet, now, lost_after_s)
    if quiet.cancel_requested:
        return Attention(Step.STOP, remind_at=_after(now, ORDER_LIFE_S))
    return Attention(Step.ASK, remind_at=_after(now, ASK_AFTER_S))


def place_again_at(created_at: datetime, now: datetime) -> datetime:
    """When a command that no worker could take is looked at again: the longer it has waited, the later."""
    waited_s = (now - created_at).total_seconds()
    return _after(now, min(max(waited_s / 2, PLACE_AGAIN_MIN_S), PLACE_AGAIN_MAX_S))


def _owed_stop(quiet: Quiet, now: datetime) -> Attention:
    """A dead command's agent may still carry it out; it is told to stop until it answers."""
    if not quiet.worker:
        return Attention(Step.FORGET)
    if not quiet.connected:
        return Attention(Step.WAIT, remind_at=_after(now, AWAY_S))
    return Attention(Step.STOP, remind_at=_after(now, ORDER_LIFE_S))


def _never_acknowledged(quiet: Quiet, now: datetime, lost_after_s: float) -> Attention:
    if quiet.connected and quiet.cancel_requested:
        return Attention(Step.STOP, remind_at=_after(now, ORDER_LIFE_S))
    if quiet.cancel_requested:
        return Attention(Step.CANCEL, quiet.reason, now)
    if not quiet.connected:
        return _gone(quiet, now, lost_after_s)
    if quiet.start_by is not None and quiet.start_by <= now:
        return Attention(Step.DEAD, f"{quiet.worker} did not acknowledge it in time", now)
    return Attention(Step.SEND, remind_at=_after(now, ORDER_LIFE_S))


def _gone(quiet: Quiet, now: datetime, lost_after_s: float) -> Attention:
    if not quiet.worker or quiet.gone_at is None:
        how = "removed while it ran" if quiet.accepted else f"removed or replaced {UNACKNOWLEDGED}"
        return Attention(Step.DEAD, f"its worker was {how}")
    lost_at = _after(quiet.gone_at, lost_after_s)
    if quiet.run_by is not None:
        lost_at = min(lost_at, max(quiet.run_by, quiet.gone_at))
    if lost_at > now:
        return Attention(Step.WAIT, remind_at=lost_at)
    away_s = (now - quiet.gone_at).total_seconds()
    how = "with it; it may have run" if quiet.accepted else UNACKNOWLEDGED
    return Attention(Step.DEAD, f"{quiet.worker} is lost since {away_s:.0f} s {how}", now)


def _after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
