"""Whether and when a command that ended badly is tried again.

Invariant: nothing is tried again that ended well, was cancelled, was never sent to a worker, or has no retry left.
"""

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

RETRY_DELAY_MAX_S = 3600.0
JITTER = 0.5


@dataclass(frozen=True)
class Tried:
    """An attempt that has just ended, as its row says."""

    id: str
    attempt: int
    state: str
    exit_code: int | None = None
    reason: str = ""
    cancel_requested: bool = False
    retries: int = 0
    retried: int = 0
    retry_delay_s: float = 1

    @property
    def ended_badly(self) -> bool:
        """Dead on a worker, or done with anything but exit code 0."""
        return self.attempt > 0 and (self.state == "dead" or (self.state == "done" and self.exit_code != 0))


@dataclass(frozen=True)
class Retry:
    """Another attempt is made, not before that time."""

    not_before: datetime
    reason: str


def retry_of(tried: Tried, now: datetime) -> Retry | None:
    """The retry that follows an attempt; None where none does."""
    if not tried.ended_badly or tried.cancel_requested or tried.retried >= tried.retries:
        return None
    number = tried.retried + 1
    pause_s = delay_s(number, tried.retry_delay_s, spread(tried.id, number))
    reason = f"attempt {tried.attempt} {how(tried)}; retry {number} of {tried.retries} in {pause_s:.1f} s"
    return Retry(now + timedelta(seconds=pause_s), reason)


def delay_s(number: int, first_s: float, spread: float) -> float:
    """The pause before retry `number` (from 1): doubled each time, capped, cut by up to a half as `spread` (0 to 1)
    says, so that what failed together does not come back together."""
    full_s = min(first_s * 2.0 ** min(number - 1, 64), RETRY_DELAY_MAX_S)
    return full_s * (1 - JITTER * spread)


def spread(command_id: str, number: int) -> float:
    """A number from 0 to below 1 that differs between commands and their retries, and is the same each time."""
    return zlib.crc32(f"{command_id}/{number}".encode()) / 2**32


def how(tried: Tried) -> str:
    """How an attempt ended, in words."""
    if tried.reason:
        return f"failed: {tried.reason}"
    return "ended by a signal" if tried.exit_code is None else f"ended with exit code {tried.exit_code}"
