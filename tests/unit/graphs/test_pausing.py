"""Pauses by people, and pauses that come down from the graph around."""

import pytest

from graphs.core.pausing import Pause, paused, unpaused

RUNS, BY_HAND, FROM_ABOVE = Pause(), Pause(paused=True), Pause(paused=True, from_above=True)


@pytest.mark.parametrize(
    ("before", "from_above", "after"),
    [
        (RUNS, False, BY_HAND),
        (RUNS, True, FROM_ABOVE),
        (BY_HAND, True, BY_HAND),
        (FROM_ABOVE, False, BY_HAND),
        (FROM_ABOVE, True, FROM_ABOVE),
    ],
)
def test_a_pause_is_a_persons_as_soon_as_a_person_asks_for_it(before: Pause, from_above: bool, after: Pause) -> None:
    assert paused(before, from_above=from_above) == after


@pytest.mark.parametrize(
    ("before", "from_above", "after"),
    [
        (BY_HAND, False, RUNS),
        (BY_HAND, True, BY_HAND),
        (FROM_ABOVE, True, RUNS),
        (FROM_ABOVE, False, RUNS),
        (RUNS, True, RUNS),
    ],
)
def test_what_a_person_has_paused_only_a_person_lets_go_on(before: Pause, from_above: bool, after: Pause) -> None:
    assert unpaused(before, from_above=from_above) == after
