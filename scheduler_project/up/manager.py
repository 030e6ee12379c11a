"""Keeps a set of processes running until told to stop, then stops them in order.

Single-threaded: one loop that wakes on signals, ends of children and a short tick. Invariant: when `stop` returns, no
process that was started here lives.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from scheduler_project.up.processes import ManagedProcess, ProcessSpec, describe_status, restart_delay_s

TICK_S = 0.25
STOP_GRACE_S = 12.0
SECOND_SIGNAL_AFTER_S = 1.0
Announce = Callable[[str, str, str], None]


class ProcessManager:
    """Starts, restarts and stops processes. `announce(process, state, detail)` is told of every change."""

    def __init__(self, log_folder: Path, announce: Announce) -> None:
        self.log_folder = log_folder
        self.announce = announce
        self.processes: dict[str, ManagedProcess] = {}
        self.stopping = False
        self.hurry = False
        self._first_signal_at = 0.0
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self) -> None:
        """Takes over the signals that end `up`, and wakes the loop when a child ends."""
        signal.set_wakeup_fd(self._wake_write)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_end_signal)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def _on_end_signal(self, _number: int, _frame: FrameType | None) -> None:
        """The first asks for an orderly stop; one that comes later than the same key press asks for haste."""
        now = time.monotonic()
        if not self.stopping:
            self.stopping, self._first_signal_at = True, now
        elif now - self._first_signal_at > SECOND_SIGNAL_AFTER_S:
            self.hurry = True

    def add(self, specs: Iterable[ProcessSpec]) -> None:
        """Starts processes and keeps them running from now on."""
        for spec in specs:
            process = ManagedProcess(spec, self.log_folder)
            self.processes[spec.name] = process
            self._start(process)

    def _start(self, process: ManagedProcess) -> None:
        process.start(time.monotonic())
        self.announce(process.spec.name, "starting", f"pid {process.pid}")

    def step(self) -> None:
        """One round: notice ends, restart what is due, notice what has come up."""
        self._wait(TICK_S)
        now = time.monotonic()
        for process in self.processes.values():
            was_up = process.was_up
            status = process.poll(now)
            if status is not None:
                delay_s = restart_delay_s(process.failures)
                detail = f"{describe_status(status)}; restarting in {delay_s:g} s; see {process.log_path}"
                self.announce(process.spec.name, "died", detail)
            elif process.is_due(now) and not self.stopping:
                self._start(process)
            elif not was_up and process.is_up():
                self.announce(process.spec.name, "up", f"pid {process.pid}")

    def _wait(self, timeout_s: float) -> None:
        readable, _, _ = select.select([self._wake_read], [], [], timeout_s)
        if readable:
            os.read(self._wake_read, 4096)

    def all_up(self) -> bool:
        return all(process.is_up() for process in self.processes.values())

    def stop(self, before_wave: Callable[[int], None]) -> None:
        """Stops everything, wave by wave. `before_wave(wave)` runs when all earlier waves are gone."""
        self.stopping = True
        for wave in sorted({process.spec.stop_wave for process in self.processes.values()}):
            before_wave(wave)
            self._stop_wave([process for process in self.processes.values() if process.spec.stop_wave == wave])

    def _stop_wave(self, wave: list[ManagedProcess]) -> None:
        for process in wave:
            process.send(process.spec.stop_signal)
        deadline = time.monotonic() + STOP_GRACE_S
        while any(process.child is not None for process in wave):
            for process in wave:
                if process.child is not None and process.child.poll() is not None:
                    process.send_to_leftovers()
                    process.child = None
                    self.announce(process.spec.name, "stopped", "")
                elif self.hurry or time.monotonic() > deadline:
                    process.send(signal.SIGKILL)
            self._wait(0.1)
