"""How many commands may run at once: those of one array, and those of one submitter.

Invariant: while one list of commands is admitted, no bound is exceeded by those that it admits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """At most `most` of the commands that share `key` run at once; `reason` is what one that waits for it says."""

    key: str
    most: int
    reason: str


def array_key(array_id: str) -> str:
    return f"array:{array_id}"


def submitter_key(submitter: int) -> str:
    return f"submitter:{submitter}"


def bounds_of(array_id: str | None, at_once: int, submitter: int | None, most_of_submitter: int) -> list[Bound]:
    """The bounds of a command. 0 is no bound, and what nobody submitted has no submitter's."""
    bounds = []
    if array_id is not None and at_once:
        bounds.append(Bound(array_key(array_id), at_once, f"{at_once} of its array run, which is as many as may"))
    if submitter is not None and most_of_submitter:
        reason = f"its submitter has {most_of_submitter} commands running, which is as many as may"
        bounds.append(Bound(submitter_key(submitter), most_of_submitter, reason))
    return bounds


class Admission:
    """Admits commands one after the other. `running` counts what runs already, by key."""

    def __init__(self, running: Mapping[str, int]) -> None:
        self._taken = dict(running)
        self._most: dict[str, int] = {}

    def admit(self, bounds: Sequence[Bound]) -> Bound | None:
        """Takes a place in each bound; or takes none and returns the bound that is full."""
        for bound in bounds:
            self._most[bound.key] = bound.most
        full = next((bound for bound in bounds if self._taken.get(bound.key, 0) >= bound.most), None)
        if full is None:
            for bound in bounds:
                self._taken[bound.key] = self._taken.get(bound.key, 0) + 1
        return full

    def left(self) -> dict[str, int]:
        """How many more each bound has places for, where it has any."""
        left = {key: most - self._taken.get(key, 0) for key, most in self._most.items()}
        return {key: places for key, places in left.items() if places > 0}
