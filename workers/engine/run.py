"""Runs one container to its end: `python -m workers.engine.run`, with the job on stdin.

The agent's supervisor runs it like any command, so it outlives the agent, and TERM to it stops the container. It writes
what the container writes, exits with its exit code, and removes it; with 125, as `docker run` does, when the engine
would not run it. Why is told in its folder too, where no limit of output cuts it off. Invariants: each byte is written
once, also when the connection to the engine broke in between, and no container is left behind by a runner that could
still say so.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import BinaryIO

from workers.agent.folders import Folder
from workers.engine.client import CONFLICT, NOT_FOUND, STDOUT, Engine, EngineAway, EngineError, address_of
from workers.engine.job import AGENT_LABEL, ALWAYS, NEVER, Job, container_name, decode, engine_document
from workers.engine.logins import FOLDER_VARIABLE, UnreadableLogins, login_for

PROCESS, UNIT, ATTEMPT = "SCHEDULER_PROCESS", "SCHEDULER_UNIT", "SCHEDULER_ATTEMPT"
NOT_RUN = 125
GONE = (NOT_FOUND, CONFLICT)
TERMINATED = 128 + signal.SIGTERM
AWAY_MAX_S = 60.0
AWAY_PAUSE_S = 0.2
TOLD_CHARACTERS = 1000
REMOVED = "somebody removed the container while it ran"
STOPPED_BY_ENGINE = "the Docker Engine was away while it ran, and without its live-restore it ends its containers"
REMOVE_SPARE_S = 1.0


class Interrupted(Exception):
    """It is to stop before its container has started."""


def main() -> int:
    job = decode(sys.stdin.buffer.read())
    return Runner(Engine(address_of()), job, os.environ, sys.stdout.buffer, sys.stderr.buffer).run()


class Runner:
    """One container, from its image to its removal."""

    def __init__(
        self, engine: Engine, job: Job, environ: Mapping[str, str], stdout: BinaryIO, stderr: BinaryIO
    ) -> None:
        self._engine = engine
        self._job = job
        self._marks = {name: environ.get(name, "") for name in (PROCESS, UNIT, ATTEMPT)}
        self._logins = environ.get(FOLDER_VARIABLE, "")
        self._name = container_name(self._marks[PROCESS])
        self._stdout, self._stderr = stdout, stderr
        self._written: dict[int, int] = {}
        self._asked_for = self._started = self._was_away = False

    def run(self) -> int:
        """Returns the exit code."""
        signal.signal(signal.SIGTERM, self._on_term)
        try:
            self._begin()
            code = self._follow()
        except Interrupted:
            code = TERMINATED
        except (EngineError, EngineAway, UnreadableLogins) as error:
            self._tell(str(error))
            code = NOT_RUN
        if self._asked_for:
            self._remove()
        return code

    def _remove(self) -> None:
        try:
            self._engine.remove(self._name)
        except (EngineError, EngineAway) as error:
            self._say(f"the container {self._name} is left behind: {error}")

    def _begin(self) -> None:
        job = self._job
        if job.pull == ALWAYS or (job.pull != NEVER and not self._engine.has_image(job.image)):
            self._engine.pull(job.image, login_for(job.image, self._logins))
        labels = {name.lower().replace("_", "."): value for name, value in self._marks.items()}
        labels[AGENT_LABEL] = job.agent
        self._asked_for = True
        self._engine.create(self._name, engine_document(job, labels))
        self._engine.start(self._name)
        self._started = True

    def _follow(self) -> int:
        """Until it has ended; waits for an engine that goes away meanwhile, as one that is renewed does."""
        while True:
            try:
                self._copy(self._engine.follow(self._name))
                self._engine.wait(self._name)
                self._copy(self._engine.logs(self._name))
                return self._ended()
            except EngineAway:
                self._was_away = True
                self._await_engine()
            except EngineError as error:
                raise EngineError(REMOVED if error.status in GONE else str(error)) from error

    def _await_engine(self) -> None:
        """Raises EngineAway when it is away for long."""
        until = time.monotonic() + AWAY_MAX_S
        while True:
            time.sleep(AWAY_PAUSE_S)
            if self._engine.answers():
                return
            if time.monotonic() > until:
                raise EngineAway(f"the Docker Engine has not answered for {AWAY_MAX_S:g} s")

    def _copy(self, pieces: Iterator[tuple[int, bytes]]) -> None:
        """Copies what was not yet copied: the engine always tells everything from the start."""
        seen: dict[int, int] = {}
        for stream, piece in pieces:
            before = seen.get(stream, 0)
            seen[stream] = before + len(piece)
            new = piece[max(0, self._written.get(stream, 0) - before) :]
            if new:
                target = self._stdout if stream == STDOUT else self._stderr
                target.write(new)
                target.flush()
                self._written[stream] = seen[stream]

    def _ended(self) -> int:
        state = self._engine.state(self._name)
        code = int(state["ExitCode"])
        if state.get("OOMKilled"):
            self._tell(f"OOMKilled: the container ran out of memory; memory_mb is {self._job.memory_mb}")
        elif self._was_away and code:
            self._tell(STOPPED_BY_ENGINE)
        return code

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        if not self._started:
            raise Interrupted
        threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self) -> None:
        """A little before the grace is over, so that the end of the container is still told."""
        try:
            self._engine.stop(self._name, max(0, int(self._job.grace_s - REMOVE_SPARE_S)))
        except (EngineError, EngineAway) as error:
            self._say(f"it cannot be stopped: {error}")

    def _tell(self, text: str) -> None:
        self._say(text)
        if self._marks[PROCESS]:
            Folder.at(self._marks[PROCESS]).tell(text[:TOLD_CHARACTERS].replace("\0", "\ufffd"))

    def _say(self, text: str) -> None:
        self._stderr.write(f"scheduler: {text}\n".encode())
        self._stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
