"""Up to which moment control knows all that happened here, told from the numbers of the reports that wait.

Invariant: every report that was spooled before `until` has been applied.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """`until` and `marked_at` are Unix s. `mark` was the newest report at `marked_at`."""

    until: float = 0
    mark: int = 0
    marked_at: float = 0

    def seen(self, oldest: int, newest: int, now: float) -> "Told":
        """After a look at the spool: the numbers of its oldest and newest report, 0 where it is empty."""
        if oldest == 0:
            return Told(now, 0, now)
        if oldest > self.mark:
            return Told(self.marked_at, newest, now)
        return self
