"""Waits for something on the server by asking again, with growing pauses.

Invariant: a server that is away for a while (restarted, say) does not end a wait; it is said once, on stderr.
"""

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

import click

from schedctl.errors import TimedOut, Unreachable

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.5
PATIENCE_S = 60.0
Value = TypeVar("Value")


def wait_for(probe: Callable[[], Value | None], what: str, timeout_s: float | None = None) -> Value:
    """The first value of `probe` that is not None.

    Raises TimedOut, naming `what`, after `timeout_s`, and Unreachable when the server stays away for PATIENCE_S.
    """
    deadline = None if timeout_s is None else monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    away_since: float | None = None
    while True:
        try:
            value = probe()
            away_since = None
        except Unreachable as error:
            value = None
            away_since = note_absence(error, away_since)
        if value is not None:
            return value
        left_s = LONGEST_PAUSE_S if deadline is None else deadline - monotonic()
        if left_s <= 0:
            raise TimedOut(f"{what} not within {timeout_s:g} s; it goes on without you")
        sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


def note_absence(error: Unreachable, away_since: float | None) -> float:
    """Since when the server is away. Raises `error` when that is too long."""
    now = monotonic()
    if away_since is None:
        click.echo(f"schedctl: {error} (still waiting)", err=True)
        return now
    if now - away_since > PATIENCE_S:
        raise error
    return away_since
