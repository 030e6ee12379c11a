"""Trigger rules: when a component may start, told from how what it depends on stands.

Invariant: the blockers of a component are 0 exactly when its rule is met, and one change of one dependency alters them
in constant time.
"""

from collections.abc import Iterable
from enum import IntEnum

from graphs.core.states import COMPONENT

ALL_COMPLETED = "all_completed"
ALL_DONE = "all_done"
ANY = "any"
ALWAYS = "always"
RULES = (ALL_COMPLETED, ALL_DONE, ANY, ALWAYS)
AFTER_ERROR = (ALL_DONE, ANY, ALWAYS)
"""Rules that say what is to happen when something failed: they are met after an error too."""
AFTER_CANCEL = (ALWAYS,)


class Standing(IntEnum):
    """How a dependency stands: not over; over, but not well; passed, so that what hangs from it may go on."""

    OPEN = 0
    OVER = 1
    PASSED = 2


def standing(state: str, decided_by: str = "") -> Standing:
    """What skips by hand are passed: a person wants the graph to go on without the component."""
    if state == "completed" or (state == "skipped" and decided_by):
        return Standing.PASSED
    return Standing.OVER if state in COMPONENT.final else Standing.OPEN


def blockers(rule: str, dependencies: Iterable[Standing]) -> int:
    """How much is missing until the rule is met."""
    found = list(dependencies)
    if rule == ANY:
        return 0 if not found or Standing.PASSED in found else 1
    wanted = Standing.PASSED if rule == ALL_COMPLETED else Standing.OVER
    return sum(one < wanted for one in found)


def after_change(rule: str, blockers: int, before: Standing, after: Standing) -> int:
    """The blockers of a component once one of its dependencies went from `before` to a better standing, `after`."""
    if rule == ANY:
        return 0 if after == Standing.PASSED else blockers
    wanted = Standing.PASSED if rule == ALL_COMPLETED else Standing.OVER
    return blockers - (before < wanted <= after)


def can_be_met(rule: str, dependencies: Iterable[Standing]) -> bool:
    """Whether dependencies that are still open could meet the rule."""
    found = list(dependencies)
    if rule == ALL_COMPLETED:
        return Standing.OVER not in found
    return rule != ANY or not found or Standing.OPEN in found or Standing.PASSED in found
