"""The processes of one task's runs: started by name through the supervisor, awaited, and ended together.

Invariant: a process of a run has the same name after an agent's restart, so starting it again only finds it.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from workers.agent.core.names import safe_name
from workers.agent.folders import End, Folder, Spec, Start, folders
from workers.agent.link import Event, SupervisorLink

LAST_WORDS_BYTES = 400


class Runs:
    """The processes of one (unit, attempt). `env` and `cwd` are those of every process."""

    def __init__(self, link: SupervisorLink, state_dir: Path, unit: str, attempt: int, log_max_bytes: int) -> None:
        self._link = link
        self._dir = state_dir
        self._unit = unit
        self._attempt = attempt
        self._log_max_bytes = log_max_bytes
        self._stem = safe_name(f"{unit}.{attempt}")
        self._ends: dict[str, asyncio.Future[End]] = {}

    def name(self, run: int, part: str) -> str:
        return f"{self._stem}.{run}.{part}"

    def spec(self, argv: list[str], env: Mapping[str, str], cwd: str, timeout_s: float = 0) -> Spec:
        """A process of this task."""
        return Spec(
            unit=self._unit,
            attempt=self._attempt,
            argv=argv,
            env=dict(env),
            cwd=cwd,
            timeout_s=timeout_s,
            output_max_bytes=self._log_max_bytes,
            sweep=True,
        )

    def start(self, name: str, spec: Spec, on_start: Callable[[Start], None], on_end: Callable[[End], None]) -> None:
        """Starts a process that stays; a second time it only tells what became of it."""
        if name not in self._ends:
            self._ends[name] = asyncio.get_running_loop().create_future()
            self._link.start(name, spec, partial(self._heard, name, on_start, on_end))

    async def complete(self, name: str, spec: Spec) -> End:
        """Runs a process to its end."""
        self.start(name, spec, lambda _start: None, lambda _end: None)
        return await asyncio.shield(self._ends[name])

    async def end_all(self, run: int, grace_s: float) -> None:
        """Stops what still runs of a run, also what only an earlier agent knew of, and waits until it is gone."""
        for folder in self._folders(run):
            spec = folder.spec()
            if spec is not None and folder.end() is None:
                self.start(folder.name, spec, lambda _start: None, lambda _end: None)
        for name in [name for name, end in self._ends.items() if not end.done()]:
            self._link.stop(name, grace_s)
        await asyncio.gather(*self._ends.values())

    def forget(self, run: int) -> None:
        """Removes what is kept of a run that is over."""
        self._ends.clear()
        for folder in self._folders(run):
            folder.remove()

    def forget_one(self, name: str) -> None:
        """Removes what is kept of one process that has ended."""
        self._ends.pop(name, None)
        Folder(self._dir, name).remove()

    def last_words(self, name: str) -> str:
        """The last line that a process wrote to its stderr."""
        folder = Folder(self._dir, name)
        offset = max(0, folder.size("stderr") - LAST_WORDS_BYTES)
        lines = folder.read("stderr", offset, LAST_WORDS_BYTES).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def told(self, name: str, end: End) -> str:
        """How a process ended, with its last words where it failed."""
        words = self.last_words(name) if end.exit_code else ""
        return f"{end}: {words}" if words else str(end)

    def _folders(self, run: int) -> list[Folder]:
        prefix = f"{self._stem}.{run}."
        return [folder for folder in folders(self._dir) if folder.name.startswith(prefix)]

    def _heard(self, name: str, on_start: Callable[[Start], None], on_end: Callable[[End], None], event: Event) -> None:
        if isinstance(event, Start):
            on_start(event)
            return
        if not self._ends[name].done():
            self._ends[name].set_result(event)
        on_end(event)
