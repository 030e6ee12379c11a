"""When a command that ended badly is tried again."""

from datetime import UTC, datetime
from typing import Any

import pytest

from workers.core.retries import RETRY_DELAY_MAX_S, Tried, delay_s, retry_of, spread

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def tried(**fields: Any) -> Tried:
    return Tried(**{"id": "c1", "attempt": 1, "state": "done", "exit_code": 1, "retries": 3, **fields})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "attempt 1 ended with exit code 1; retry 1 of 3 in "),
        ({"exit_code": None}, "attempt 1 ended by a signal; retry 1 of 3 in "),
        ({"state": "dead", "exit_code": None, "reason": "host-a is lost"}, "attempt 1 failed: host-a is lost; retry"),
        ({"attempt": 4, "retried": 2}, "attempt 4 ended with exit code 1; retry 3 of 3 in "),
    ],
)
def test_a_bad_end_is_followed_by_a_retry_with_the_reason(fields: dict[str, Any], reason: str) -> None:
    retry = retry_of(tried(**fields), NOW)

    assert retry is not None
    assert retry.reason.startswith(reason)
    assert retry.not_before > NOW


@pytest.mark.parametrize(
    "fields",
    [
        {"exit_code": 0},
        {"retries": 0},
        {"retried": 3},
        {"cancel_requested": True},
        {"state": "cancelled"},
        {"state": "dead", "attempt": 0},
    ],
)
def test_what_ended_well_or_was_not_wanted_any_more_is_not_tried_again(fields: dict[str, Any]) -> None:
    assert retry_of(tried(**fields), NOW) is None


def test_pauses_double_up_to_a_limit() -> None:
    assert [delay_s(number, 2, spread=0) for number in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert delay_s(99, 2, spread=0) == RETRY_DELAY_MAX_S


def test_what_failed_together_comes_back_apart() -> None:
    moments = {delay_s(1, 10, spread(f"command-{n}", 1)) for n in range(100)}

    assert len(moments) == 100
    assert all(5 < moment <= 10 for moment in moments)
