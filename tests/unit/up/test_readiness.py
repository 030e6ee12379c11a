"""What `/readyz` says of a system that `manage.py up` runs."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler_project.readiness import check_up

Tell = Callable[[Mapping[str, Any]], object]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = {"ready": True, "stage": "", "processes": {"web": {"pid": 1, "up": True}}, "at": NOW.timestamp()}


@pytest.fixture
def told(tmp_path: Path, settings: Any) -> Tell:
    """Writes the status file of `up`."""
    path = tmp_path / "up.json"
    settings.UP_STATUS_FILE = str(path)
    return lambda status: path.write_text(json.dumps(status))


def test_a_system_that_up_does_not_run_is_not_asked_for_it(settings: Any) -> None:
    settings.UP_STATUS_FILE = ""

    assert check_up(NOW).ok


def test_ready_when_up_says_so(told: Tell) -> None:
    told(READY)

    assert check_up(NOW).ok


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"ready": False, "stage": "services"}, "at: services"),
        ({"processes": {"web": {"pid": None, "up": False}}}, "down: web"),
        ({"at": (NOW - timedelta(minutes=1)).timestamp()}, "does not watch"),
    ],
)
def test_not_ready_with_the_reason(told: Tell, change: dict[str, Any], detail: str) -> None:
    told(READY | change)

    check = check_up(NOW)

    assert not check.ok
    assert detail in check.detail


def test_a_status_that_is_not_there_is_not_ready(settings: Any, tmp_path: Path) -> None:
    settings.UP_STATUS_FILE = str(tmp_path / "nowhere")

    assert "cannot be read" in check_up(NOW).detail
