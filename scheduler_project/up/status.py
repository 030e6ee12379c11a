"""The state of `up` in a file, which `/readyz` reads: whether all is ready, and the state of each process."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scheduler_project.up.processes import ManagedProcess
from scheduler_project.up.stages import Progress

WRITE_EVERY_S = 1.0


class StatusFile:
    """Written when something changes and at least each second, so that a reader can tell a dead `up` by its age."""

    NAME = "up.json"

    def __init__(self, folder: Path) -> None:
        self.path = folder / self.NAME
        self._last: dict[str, Any] = {}
        self._write_at = 0.0

    def write(self, processes: Iterable[ManagedProcess], ready: bool, progress: Progress) -> None:
        status: dict[str, Any] = {
            "ready": ready,
            "stage": progress.stages[0].name if progress.stages else "",
            "processes": {process.spec.name: {"pid": process.pid, "up": process.was_up} for process in processes},
        }
        now = time.monotonic()
        if status == self._last and now < self._write_at:
            return
        self._last, self._write_at = status, now + WRITE_EVERY_S
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps({**status, "at": time.time()}))
        draft.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
