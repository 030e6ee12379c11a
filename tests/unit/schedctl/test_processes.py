"""schedctl as a process: signals, pipes and terminals."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.scheduler_twin import Twin, answer, output
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[3]
RUNNING = {"id": "c1", "state": "running"}


@pytest.fixture
def endless(twin: Twin) -> Twin:
    """Command c1 says hello and goes on until it is cancelled."""
    twin.on("POST /commands", answer({"items": [RUNNING]}, 201))
    twin.on("GET /commands/c1", answer(RUNNING))
    twin.on("GET /commands/c1/output stdout", output(b"hello\n", 6), output(b"", 6))
    twin.on("GET /commands/c1/output stderr", output(b"", 0))
    return twin


def started(twin: Twin, *words: str, **pipes: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "schedctl", "--server", twin.url, *words]
    return subprocess.Popen(command, cwd=ROOT, **pipes)


def output_polled(twin: Twin) -> bool:
    return len(twin.calls("GET /commands/c1/output")) > 4


def test_ctrl_c_while_waiting_detaches_where_nobody_can_be_asked(endless: Twin) -> None:
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(endless, "tasks", "run", "--wait", "--", "x", **pipes) as process:
        wait_until(lambda: output_polled(endless))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=10)
    assert (process.returncode, stdout) == (130, b"hello\n")
    assert stderr == b"schedctl: detached; it goes on. See it with: schedctl tasks logs -f c1\n"


def test_ctrl_c_at_a_terminal_asks_and_cancels(endless: Twin) -> None:
    master, terminal = pty.openpty()
    with started(
        endless, "tasks", "run", "--wait", "--", "x", stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        wait_until(lambda: output_polled(endless))
        process.send_signal(signal.SIGINT)
        endless.on("POST /commands/c1/cancel", answer(RUNNING))
        endless.on("GET /commands/c1", answer({**RUNNING, "state": "cancelled", "reason": "by ann"}))
        for stream in ("stdout", "stderr"):
            endless.on(f"GET /commands/c1/output {stream}", output(b"", 6, "true"))
        os.write(master, b"cancel\n")
        wait_until(lambda: process.poll() is not None)
    shown = os.read(master, 10_000).decode()
    os.close(master)
    assert process.returncode == 130
    assert "cancel it or detach? (cancel, detach)" in shown
    assert "c1 is cancelled: by ann" in shown
    assert shown.count("hello") == 1
