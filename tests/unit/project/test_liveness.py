"""A Celery worker's sign of life follows its connection to the broker."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler_project.liveness import ALIVE_FILE, TOUCH_EVERY_S, AliveStep, idle_s, touch


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


def test_nothing_is_written_where_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALIVE_FILE, raising=False)
    monkeypatch.chdir(tmp_path)
    touch()
    assert not list(tmp_path.iterdir())


def test_it_is_known_for_how_long_a_process_has_not_been_at_work() -> None:
    touch()
    first = idle_s()
    assert 0 <= first < idle_s() < 10


def test_a_worker_that_consumes_touches_its_file_at_once_and_again(alive: Path) -> None:
    timer = Timer()
    step = AliveStep(SimpleNamespace())
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
