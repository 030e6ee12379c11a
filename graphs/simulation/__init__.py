"""Deterministic simulation of the engine: a seed is a history of crashes, losses and wishes, and what must hold holds.

It makes graphs of its own in the database at hand, and removes them; use it on a database made for it.
"""

from dataclasses import dataclass

__all__ = ["History", "simulate"]


@dataclass(frozen=True)
class History:
    """What happened under a seed, a line each, and what of it must never happen."""

    seed: int
    lines: tuple[str, ...]
    violations: tuple[str, ...]


def simulate(seed: int) -> History:
    """The history of this seed; the same each time."""
    from graphs.simulation.checks import violations
    from graphs.simulation.cleaning import clean
    from graphs.simulation.world import World

    world = World(seed)
    clean(world.journal.graph_ids)
    try:
        world.run()
        with world.hazards.calm():
            found = violations(world)
    finally:
        clean(world.journal.graph_ids)
    return History(seed, tuple(world.journal.lines), tuple(found))
