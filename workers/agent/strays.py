"""Finds and ends what left its process group and outlived the command or service that started it.

Such a process still carries the mark of its folder in its environment. Invariant: what belongs to a living process of
the supervisor is left alone, and nothing is looked for while nothing has ended since the last look.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from workers.agent import procfs
from workers.agent.process import MARKER, uptime_s

LOOK_AFTER_S = 1.0
SHARE_OF_TIME = 20


class Strays:
    """Those of one state folder. Times are in seconds since boot."""

    def __init__(self, units: Path, is_live: Callable[[str], bool]) -> None:
        self._prefix = f"{units}/"
        self._is_live = is_live
        self._asked: frozenset[int] = frozenset()
        self.due_at: float | None = None

    def expect(self, now: float) -> None:
        """Something has just ended and may have left strays."""
        if self.due_at is None:
            self.due_at = now + LOOK_AFTER_S

    def tick(self, now: float) -> None:
        """Looks where that is due: TERM at first sight, KILL at the next; looks again until there are none.

        Pauses grow with the time that a look takes, so that looking stays a small share of a host with many processes.
        """
        if self.due_at is None or now < self.due_at:
            return
        found = self.find()
        for pid in found:
            send(pid, signal.SIGKILL if pid in self._asked else signal.SIGTERM)
        self._asked = frozenset(found)
        pause_s = max(LOOK_AFTER_S, (uptime_s() - now) * SHARE_OF_TIME)
        self.due_at = now + pause_s if found else None

    def kill(self) -> None:
        """Ends all of them at once."""
        for pid in self.find():
            send(pid, signal.SIGKILL)

    def find(self) -> list[int]:
        """The living processes whose folder is of this supervisor and no longer of a living process."""
        return [pid for folder, pids in procfs.marked(MARKER).items() if self._is_over(folder) for pid in pids]

    def _is_over(self, folder: str) -> bool:
        return folder.startswith(self._prefix) and not self._is_live(folder.removeprefix(self._prefix))


def send(pid: int, number: int) -> None:
    """Signals a process that may be gone already."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
