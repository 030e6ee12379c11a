"""How long what is over is kept: the arithmetic that all apps share.

Invariant: a keeping time of 0 days is for ever.
"""

from datetime import datetime, timedelta

EVERY_S = 2.0


def over_before(now: datetime, keep_days: float) -> datetime | None:
    """What was over before that is forgotten; None where everything is kept."""
    return now - timedelta(days=keep_days) if keep_days else None


def first_id_of(moment: datetime) -> str:
    """The smallest UUIDv7 made at that moment or later, so that rows can be found by age through their ids."""
    digits = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"
