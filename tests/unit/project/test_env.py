"""Settings with units in their names: what is set is what is meant, or the start ends with the reason."""

import pytest

from scheduler_project.toolkit import env
from scheduler_project.toolkit.errors import ConfigurationError


def test_a_duration_that_is_not_set_has_its_default() -> None:
    assert env.seconds("SCHEDULER_SILENCE_TIMEOUT_S", 10, {}) == 10


def test_a_duration_may_be_shorter_than_a_second() -> None:
    assert env.seconds("SCHEDULER_SILENCE_TIMEOUT_S", 10, {"SCHEDULER_SILENCE_TIMEOUT_S": "0.25"}) == 0.25


@pytest.mark.parametrize("text", ["", "0", "-1", "10s", "ten", "nan", "inf"])
def test_a_duration_of_nothing_or_with_a_unit_ends_the_start_with_its_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SCHEDULER_SILENCE_TIMEOUT_S"):
        env.seconds("SCHEDULER_SILENCE_TIMEOUT_S", 10, {"SCHEDULER_SILENCE_TIMEOUT_S": text})
