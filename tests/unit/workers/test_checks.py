"""What `manage.py check` says about the app's settings."""

from typing import Any

from workers.checks import check_placement


def test_a_known_placement_passes(settings: Any) -> None:
    settings.SCHEDULER_PLACEMENT = "least_loaded"

    assert check_placement(None) == []


def test_an_unknown_placement_is_an_error_that_names_the_choices(settings: Any) -> None:
    settings.SCHEDULER_PLACEMENT = "best"

    (error,) = check_placement(None)

    assert (error.id, error.hint) == ("workers.E001", "Use one of: least_loaded, round_robin.")
