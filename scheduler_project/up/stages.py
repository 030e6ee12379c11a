"""The way to ready: what is awaited, one stage after the other, without ever blocking the supervision of processes."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

LOOK_EVERY_S = 0.5
REMIND_EVERY_S = 15.0
RETRY_STEP_AFTER_S = 2.0


@dataclass(frozen=True)
class Stage:
    """`waiting_for()` says what is still missing, empty when the stage is over. `begin()` runs once before."""

    name: str
    begin: Callable[[], None]
    waiting_for: Callable[[], str]


class Commands:
    """Runs commands one after the other in the background; one that fails is tried again."""

    def __init__(self, steps: Sequence[tuple[str, ...]], env: Mapping[str, str], folder: str) -> None:
        self.remaining = list(steps)
        self.env = env
        self.folder = folder
        self.child: subprocess.Popen[str] | None = None
        self.problem = ""
        self.retry_at = 0.0

    def waiting_for(self) -> str:
        """The command that runs or has failed last; empty when all have succeeded."""
        if self.child is not None and self.child.poll() is not None:
            self._collect(self.child)
        if self.child is None and self.remaining and time.monotonic() >= self.retry_at:
            self._start(self.remaining[0])
        if not self.remaining:
            return ""
        return " ".join(self.remaining[0][1:]) + self.problem

    def _start(self, argv: tuple[str, ...]) -> None:
        self.child = subprocess.Popen(
            argv,
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _collect(self, child: "subprocess.Popen[str]") -> None:
        output, _ = child.communicate()
        self.child = None
        if child.returncode == 0:
            self.remaining.pop(0)
            self.problem = ""
            return
        self.problem = f" failed: {(output.strip().splitlines() or ['no output'])[-1]}"
        self.retry_at = time.monotonic() + RETRY_STEP_AFTER_S

    def stop(self) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Progress:
    """Walks through the stages; `step()` is called in the loop of the supervisor."""

    def __init__(self, stages: Sequence[Stage], announce: Callable[[str, str, str], None]) -> None:
        self.stages = list(stages)
        self.announce = announce
        self.begun = False
        self.look_at = 0.0
        self.remind_at = 0.0

    @property
    def is_over(self) -> bool:
        return not self.stages

    def step(self) -> None:
        """Looks at the present stage and goes on to the next when it is over."""
        now = time.monotonic()
        if self.is_over or now < self.look_at:
            return
        self.look_at = now + LOOK_EVERY_S
        stage = self.stages[0]
        if not self.begun:
            self.begun, self.remind_at = True, now + REMIND_EVERY_S
            stage.begin()
        missing = stage.waiting_for()
        if not missing:
            self.announce(stage.name, "done", "")
            self.stages.pop(0)
            self.begun, self.look_at = False, 0.0
        elif now >= self.remind_at:
            self.remind_at = now + REMIND_EVERY_S
            self.announce(stage.name, "waiting", missing)
