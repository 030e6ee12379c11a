"""How the worker is chosen among those that fit: the one with the lowest score takes the request.

Invariant: a score depends on its arguments alone; `draw` gives the chance, a number in [0, 1).
"""

from collections.abc import Callable
from math import floor

from workers.core.hosts import Host

Score = tuple[float, ...]
Draw = Callable[[], float]


class Scorer:
    """Base of all scorers. `alias` is the name it is configured under.

    `share` is the part of each worker's slots that may be filled. Raises ValueError where it is not within (0, 1].
    `reason` is shown with each command that was placed by it, after the worker's name.
    """

    reason = ""

    def __init__(self, alias: str, share: float = 1) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share={share!r} is not above 0 and at most 1")
        self.alias = alias
        self.share = share

    def score(self, host: Host, draw: Draw) -> Score:
        """The lowest takes the request; among equals the one with the first name does."""
        raise NotImplementedError

    def room(self, host: Host) -> float:
        """How many more commands the worker may be given."""
        if not host.slots:
            return float("inf")
        return max(max(floor(host.slots * self.share), 1) - host.load, 0)

    def full(self, host: Host) -> str:
        """Why a worker without room takes nothing."""
        if self.share == 1:
            return f"all {host.slots} slots taken"
        return f"all {max(floor(host.slots * self.share), 1)} slots taken of the {self.share:.0%} that may be"


class RoundRobin(Scorer):
    """The worker that was given something least recently, over all requests ever made."""

    reason = "it was given something least recently"

    def score(self, host: Host, draw: Draw) -> Score:
        return (host.turn,)


class LeastLoaded(Scorer):
    """The worker of which the smallest part of its slots is taken, in turn among equals."""

    reason = "the smallest part of its slots was taken"

    def score(self, host: Host, draw: Draw) -> Score:
        return (host.used, host.turn)


class Pack(Scorer):
    """The fullest worker that has room, so that the others stay free."""

    reason = "it was the fullest with room"

    def score(self, host: Host, draw: Draw) -> Score:
        return (-host.used,)


class Chance(Scorer):
    """Any worker, each as likely as the other."""

    reason = "it was drawn by lot"

    def score(self, host: Host, draw: Draw) -> Score:
        return (draw(),)
