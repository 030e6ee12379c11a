"""A Celery worker's sign of life follows its connection to the broker."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler_project.liveness import ALIVE_FILE, TOUCH_EVERY_S, AliveStep, touch


class Timer:
    """Celery's timer, turned by hand."""

    def __init__(self) -> None:
        self.cancelled = False

    def call_repeatedly(self, every_s: float, call: Callable[[], None]) -> "Timer":
        assert every_s == TOUCH_EVERY_S
        self.call = call
        return self

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ALIVE_FILE, str(tmp_path / "alive"))
    return tmp_path / "alive"


def test_nothing_is_written_where_no_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALIVE_FILE, raising=False)
    touch()
    assert not AliveStep(SimpleNamespace()).include_if(SimpleNamespace())


def test_a_worker_that_consumes_touches_its_file_at_once_and_again(alive: Path) -> None:
    timer = Timer()
    step = AliveStep(SimpleNamespace())
    assert step.include_if(SimpleNamespace())
    step.start(SimpleNamespace(timer=timer))
    assert alive.exists()
    alive.unlink()
    timer.call()
    assert alive.exists()


def test_a_worker_that_lost_its_broker_stops_touching(alive: Path) -> None:
    timer = Timer()
    step = AliveStep(SimpleNamespace())
    step.stop(SimpleNamespace())
    step.start(SimpleNamespace(timer=timer))
    step.stop(SimpleNamespace(timer=timer))
    assert timer.cancelled
