"""What to do about a command that nothing has been heard of for a while.

Invariant: an order is void once `remind_at` has passed, so a command that its worker never acknowledged can be given to
another; one that was acknowledged is never sent elsewhere, because it may have run. A worker that comes back brings
forward what waits for it, so nothing is looked at again and again while it is away.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from workers.core.reports import ASK_AFTER_S
from workers.core.states import COMMAND

ORDER_LIFE_S = 10
AWAY_S = 3600
PLACE_AGAIN_MIN_S = 1.0
PLACE_AGAIN_MAX_S = 15.0


class Step(StrEnum):
    """What is done about the command."""

    SEND = "send the order again"
    STOP = "send the order to stop again"
    ASK = "ask its agent"
    WAIT = "wait for its agent"
    PLACE = "give it to another worker"
    CANCEL = "cancelled"
    DEAD = "dead"
    FORGET = "nothing is left to be done"


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
        return _never_acknowledged(quiet, now)
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


def _never_acknowledged(quiet: Quiet, now: datetime) -> Attention:
    if quiet.connected and quiet.cancel_requested:
        return Attention(Step.STOP, remind_at=_after(now, ORDER_LIFE_S))
    if quiet.cancel_requested:
        return Attention(Step.CANCEL, quiet.reason)
    if quiet.start_by is not None and quiet.start_by <= now:
        return Attention(Step.DEAD, f"{quiet.worker or 'its worker'} did not acknowledge it in time", now)
    if not quiet.connected:
        return Attention(Step.PLACE, f"{quiet.worker or 'its worker'} was lost before it acknowledged it", now)
    return Attention(Step.SEND, remind_at=_after(now, ORDER_LIFE_S))


def _gone(quiet: Quiet, now: datetime, lost_after_s: float) -> Attention:
    if not quiet.worker or quiet.gone_at is None:
        return Attention(Step.DEAD, "its worker was removed while it ran")
    lost_at = _after(quiet.gone_at, lost_after_s)
    if quiet.run_by is not None:
        lost_at = min(lost_at, max(quiet.run_by, quiet.gone_at))
    if lost_at <= now:
        away_s = (now - quiet.gone_at).total_seconds()
        return Attention(Step.DEAD, f"{quiet.worker} is lost since {away_s:.0f} s with it; it may have run", now)
    return Attention(Step.WAIT, remind_at=lost_at)


def _after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
