"""How long an instance that could not run waits before it is issued again."""

from datetime import timedelta

FIRST_S = 1.0
LONGEST_S = 60.0


def delay_after(failures: int) -> timedelta:
    """Doubles with each failure in a row, from one second to one minute. `failures` counts from 1."""
    return timedelta(seconds=min(LONGEST_S, FIRST_S * 2 ** min(failures - 1, 10)))
