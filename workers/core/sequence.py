"""Up to which of its numbered reports an agent may forget.

Invariant: a report is acknowledged only when it and all before it have been applied, whatever order envelopes came in.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Of one session: `applied` is the last report with none missing before it (0 at the start), `gap` the first of an
    envelope that came although reports before it are missing (0 for none)."""

    applied: int = 0
    gap: int = 0


def advance(progress: Progress, first: int, last: int) -> Progress:
    """Takes the reports `first…last` into account.

    An envelope that overtook another is not acknowledged. When it comes again with the same first report, the agent has
    nothing older left, so nothing is missing.
    """
    if progress.applied == 0 or first <= progress.applied + 1 or first == progress.gap:
        return Progress(max(progress.applied, last))
    return Progress(progress.applied, first)
