"""When a provider that does not answer is left alone for a while, and when it is tried again.

Only silence counts: no reply in time, no sign of life, not reached at all. A reply that says `errored` is an answer: it
tells of the component and not of the provider, and closes the circuit like any other. What was sent before the last
answer does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Limits:
    """After `failures` in a row (0: never) nothing is sent for `delay_s`, doubled each time up to `delay_max_s`."""

    failures: int
    delay_s: float
    delay_max_s: float

    def after(self, openings: int) -> timedelta:
        """How long to leave it alone when it was found silent `openings` times before."""
        return timedelta(seconds=min(self.delay_s * 2.0 ** min(openings, 60), self.delay_max_s))


@dataclass(frozen=True)
class Silence:
    """How long a provider has been silent. `openings` counts how often it was left alone, `retry_at` ends the last."""

    failures: int = 0
    openings: int = 0
    retry_at: datetime | None = None


def unanswered(sends: Sequence[datetime], answered_at: datetime | None) -> int:
    """How many of the attempts sent then count as silence. `answered_at` is when the provider last answered anything.

    What was sent before that may have been lost on its way; it does not tell that nobody is there.
    """
    return sum(answered_at is None or sent_at > answered_at for sent_at in sends)


def after_failures(before: Silence, count: int, now: datetime, limits: Limits) -> Silence:
    """What is known after `count` more attempts without an answer.

    What fails while the provider is left alone was sent before, and says nothing new.
    """
    failures = before.failures + count
    if not limits.failures or failures < limits.failures or (before.retry_at is not None and before.retry_at > now):
        return Silence(failures, before.openings, before.retry_at)
    return Silence(failures, before.openings + 1, now + limits.after(before.openings))
