"""Durations as people write them."""

import pytest

from clusters.core.durations import seconds_of


@pytest.mark.parametrize(
    ("written", "expected_s"),
    [("10s", 10), ("1m30s", 90), ("250ms", 0.25), ("1h", 3600), ("1.5s", 1.5), (2, 2), (0.5, 0.5)],
)
def test_go_durations_and_plain_seconds_are_understood(written: object, expected_s: float) -> None:
    assert seconds_of(written) == expected_s


@pytest.mark.parametrize("written", ["10", "2 parsecs", "", "s", "-1s", 0, "0s", True, None, 10_000_000_000, "9000h"])
def test_anything_else_is_no_duration(written: object) -> None:
    assert seconds_of(written) is None
