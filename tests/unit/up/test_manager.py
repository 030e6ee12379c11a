"""Processes are kept running, and none is left at the end."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scheduler_project.up.manager import ProcessManager
from scheduler_project.up.processes import ProcessSpec, describe_status, restart_delay_s
from scheduler_project.up.stages import Commands, Progress, Stage

SLEEPER = ProcessSpec("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"))


class News(list[tuple[str, str, str]]):
    def __call__(self, name: str, state: str, detail: str) -> None:
        self.append((name, state, detail))

    def states(self, name: str) -> list[str]:
        return [state for who, state, _ in self if who == name]


@pytest.fixture
def news() -> News:
    return News()


@pytest.fixture
def manager(tmp_path: Path, news: News) -> Iterator[ProcessManager]:
    made = ProcessManager(tmp_path, news)
    yield made
    made.hurry = True
    made.stop(lambda _wave: None)


def step_until(manager: ProcessManager, condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        manager.step()


def test_back_off_doubles_up_to_a_bound() -> None:
    assert [restart_delay_s(failures) for failures in (1, 2, 3, 10)] == [0.5, 1, 2, 10]


def test_a_killed_process_is_back_and_said_so(manager: ProcessManager, news: News) -> None:
    manager.add([SLEEPER])
    process = manager.processes["sleeper"]
    step_until(manager, process.is_up)

    psutil.Process(process.pid).kill()
    step_until(manager, lambda: news.states("sleeper").count("starting") == 2)

    assert "died" in news.states("sleeper")
    assert "signal 9 (SIGKILL)" in str(news)


def test_a_process_counts_as_up_only_when_its_port_answers(manager: ProcessManager, tmp_path: Path) -> None:
    from scheduler_project.up import ports

    port = ports.choose(0, set())
    gate = tmp_path / "gate"
    wait_then_serve = (
        "import time, pathlib, socketserver\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)\n"
        f"socketserver.TCPServer(('127.0.0.1', {port}), socketserver.BaseRequestHandler).serve_forever()\n"
    )
    manager.add([ProcessSpec("server", (sys.executable, "-c", wait_then_serve), port=port)])
    process = manager.processes["server"]

    assert not process.is_up()
    gate.touch()
    step_until(manager, process.is_up)


def test_stopping_goes_wave_by_wave_and_leaves_no_process(manager: ProcessManager, news: News) -> None:
    manager.add([ProcessSpec("last", SLEEPER.argv, stop_wave=1), ProcessSpec("first", SLEEPER.argv, stop_wave=0)])
    pids = [process.pid for process in manager.processes.values() if process.pid is not None]

    waves: list[int] = []
    manager.stop(waves.append)

    assert waves == [0, 1]
    assert [name for name, state, _ in news if state == "stopped"] == ["first", "last"]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_process_that_ignores_the_request_is_killed_when_haste_is_asked(manager: ProcessManager) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    )
    manager.add([ProcessSpec("stubborn", (sys.executable, "-c", stubborn))])
    process = manager.processes["stubborn"]
    step_until(manager, lambda: process.log_path.exists() and process.log_path.read_text() != "")
    pid = process.pid
    assert pid is not None

    manager.hurry = True
    manager.stop(lambda _wave: None)

    assert not psutil.pid_exists(pid)


def test_the_second_of_two_signals_of_one_key_press_does_not_ask_for_haste(manager: ProcessManager) -> None:
    manager._on_end_signal(signal.SIGINT, None)
    manager._on_end_signal(signal.SIGTERM, None)

    assert manager.stopping
    assert not manager.hurry


@pytest.mark.parametrize(("status", "text"), [(3, "exit code 3"), (-9, "signal 9 (SIGKILL)")])
def test_the_end_of_a_process_is_told_in_words(status: int, text: str) -> None:
    assert describe_status(status) == text


def commands_over(commands: Commands, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while commands.waiting_for():
        assert time.monotonic() < deadline, commands.waiting_for()
        time.sleep(0.01)


def test_a_step_of_the_demo_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler_project.up.stages.RETRY_STEP_AFTER_S", 0.01)
    once = "import pathlib, sys; p = pathlib.Path('tried'); first = not p.exists(); p.touch(); sys.exit(first)"
    commands = Commands([(sys.executable, "-c", once)], {}, str(tmp_path))

    commands_over(commands)

    assert (tmp_path / "tried").exists()


def test_the_reason_why_a_step_fails_is_told(tmp_path: Path) -> None:
    commands = Commands([(sys.executable, "-c", "raise SystemExit('no luck')")], {}, str(tmp_path))
    commands.waiting_for()
    assert commands.child is not None
    commands.child.wait()

    assert commands.waiting_for().endswith("failed: no luck")


def test_stages_follow_each_other_and_what_is_missing_is_told(news: News, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler_project.up.stages.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("scheduler_project.up.stages.REMIND_EVERY_S", 0.0)
    missing = ["two hosts"]
    progress = Progress([Stage("hosts", lambda: None, lambda: missing[0])], news)

    progress.step()
    missing[0] = ""
    progress.step()

    assert news == [("hosts", "waiting", "two hosts"), ("hosts", "done", "")]
    assert progress.is_over
