"""Waiting for something to become true, with a deadline instead of a guessed sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(
    probe: Callable[[], Value | None], timeout_s: float = 10, every_s: float = 0.05, what: str = ""
) -> Value:
    """Returns the first true value of `probe`. Raises AssertionError, naming what was awaited, at the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or probe}")
        time.sleep(every_s)
