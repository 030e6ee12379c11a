"""Whom a cancel tells."""

import pytest

from graphs.core.cancelling import Told, is_unanswered


def test_connectors_are_told_only_where_a_person_asks_for_it() -> None:
    assert [told.includes(only_when_asked=True) for told in Told] == [False, False, True]


def test_our_own_providers_are_told_unless_a_person_wants_silence() -> None:
    assert [told.includes(only_when_asked=False) for told in Told] == [False, True, True]


@pytest.mark.parametrize(
    ("state", "silent", "unanswered"),
    [
        ("running", False, True),
        ("cancelled", True, True),
        ("cancelled", False, False),
        ("completed", False, False),
        ("errored", True, False),
        ("waiting", True, False),
    ],
)
def test_only_what_may_still_be_at_work_is_told_to_stop(state: str, silent: bool, unanswered: bool) -> None:
    assert is_unanswered(state, silent) is unanswered
