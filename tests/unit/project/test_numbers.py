"""Whole numbers in the environment."""

import pytest

from scheduler_project.toolkit import env
from scheduler_project.toolkit.errors import ConfigurationError


def test_a_whole_number_is_read_and_has_a_default() -> None:
    assert env.number("CAP", 3, {}) == 3
    assert env.number("CAP", 3, {"CAP": "12"}) == 12


@pytest.mark.parametrize("word", ["-1", "1.5", "many", "", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_anything_else_is_refused_by_name(word: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a whole number"):
        env.number("CAP", 3, {"CAP": word})
