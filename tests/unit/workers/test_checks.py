"""What `manage.py check` says about the app's settings."""

from typing import Any

import pytest

from workers.checks import check_placement
from workers.placement import scorer


def test_a_known_placement_passes(settings: Any) -> None:
    settings.SCHEDULER_PLACEMENT = "least_loaded"

    assert check_placement(None) == []


def test_an_unknown_placement_is_an_error_that_names_the_choices(settings: Any) -> None:
    settings.SCHEDULER_PLACEMENT = "best"

    (error,) = check_placement(None)

    assert (error.id, error.hint) == ("workers.E001", "Use one of: least_loaded, pack, random, round_robin.")


@pytest.mark.parametrize(
    ("configured", "told"),
    [
        ({"BACKEND": "nowhere.Scorer"}, "No module named 'nowhere'"),
        ({"BACKEND": "workers.core.scorers.Pack", "OPTIONS": {"share": 2}}, "share=2 is not above 0 and at most 1"),
        ({"BACKEND": "workers.core.scorers.Pack", "OPTIONS": {"speed": 2}}, "unexpected keyword argument 'speed'"),
        ({"BACKEND": "builtins.str"}, "is no workers.core.scorers.Scorer"),
        ({}, "BACKEND"),
    ],
)
def test_a_placement_that_cannot_be_made_is_an_error(settings: Any, configured: Any, told: str) -> None:
    settings.SCHEDULER_PLACEMENTS = {**settings.SCHEDULER_PLACEMENTS, "mine": configured}

    (error,) = check_placement(None)

    assert error.id == "workers.E002"
    assert "SCHEDULER_PLACEMENTS['mine']" in error.msg
    assert told in error.msg


def test_a_placement_of_ones_own_is_added_by_its_dotted_path(settings: Any) -> None:
    settings.SCHEDULER_PLACEMENTS = {"half": {"BACKEND": "workers.core.scorers.Pack", "OPTIONS": {"share": 0.5}}}
    settings.SCHEDULER_PLACEMENT = "half"

    assert check_placement(None) == []
    assert scorer().share == 0.5
