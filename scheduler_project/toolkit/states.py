"""State machines as data: one table per model, refused moves raise.

A table maps each state to the states that may follow it. The documentation is drawn from the same tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler_project.toolkit.errors import Conflict


class RefusedMove(Conflict):
    """The state machine has no such move."""


@dataclass(frozen=True)
class StateMachine:
    """The legal moves of one kind of thing.

    `transitions` has every state as a key, final states with an empty set. `reopening` are moves out of final states,
    which only a person's decision makes.
    """

    name: str
    transitions: Mapping[str, frozenset[str]]
    reopening: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(self.transitions)

    @property
    def final(self) -> frozenset[str]:
        return frozenset(state for state, following in self.transitions.items() if not following)

    def allows(self, before: str, after: str) -> bool:
        return after in self.transitions.get(before, frozenset()) or after in self.reopening.get(before, frozenset())

    def check(self, before: str, after: str) -> None:
        """Raises RefusedMove unless `before → after` is in the table."""
        if not self.allows(before, after):
            raise RefusedMove(f"a {self.name} cannot go from {before} to {after}")

    def sources(self, after: str) -> tuple[str, ...]:
        """The states from which `after` may be reached: the condition of a compare-and-set."""
        return tuple(before for before, following in self.transitions.items() if after in following)
