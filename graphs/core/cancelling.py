"""Who is told of a cancel, and whether somebody who was to be told still is.

Invariant: telling decides nothing. What becomes of an attempt is told by its reply or its deadline, as if nobody were
told.
"""

from enum import IntEnum


class Told(IntEnum):
    """Whom a cancel tells to stop what is in flight; each of them tells more than the one before.

    `OURS` are providers that stop their work by our own means. `EVERYBODY` also are those whose far end is not ours and
    may not know such a word: connectors on NATS.
    """

    NOBODY = 0
    OURS = 1
    EVERYBODY = 2

    def includes(self, *, only_when_asked: bool) -> bool:
        """Whether a provider is told, which may be one that is told only when a person asks for it."""
        return self >= (Told.EVERYBODY if only_when_asked else Told.OURS)


def is_unanswered(state: str, silent: bool) -> bool:
    """Whether an attempt may still be at work: it runs, or was given up on while nobody knew of its end."""
    return state == "running" or (state == "cancelled" and silent)
