"""What pausing and unpausing do to a graph, asked for by a person or come down from the graph that it is inside of.

Invariant: what a person has paused only a person lets go on.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """Whether a graph is paused, and whether only because the graph around it is."""

    paused: bool = False
    from_above: bool = False


def paused(before: Pause, *, from_above: bool) -> Pause:
    """After a pause. One by a person makes a pause that came from above the person's own."""
    if from_above and before.paused:
        return before
    return Pause(paused=True, from_above=from_above)


def unpaused(before: Pause, *, from_above: bool) -> Pause:
    """After an end of the pause. One from above ends nothing that a person has paused."""
    if from_above and not before.from_above:
        return before
    return Pause()
