"""A worker as placement sees it, and what it has room for.

Invariant: a worker that states no slots has no limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Host:
    """A worker. `load` counts the commands it was given and has not ended, also those it has not answered on; `turn`
    grows with each thing that any worker is given.
    """

    id: str
    name: str
    connected: bool = True
    draining: bool = False
    labels: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    slots: int = 0
    load: int = 0
    turn: int = 0

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """What expressions are judged by; a label hides a fact of the same name."""
        return {**self.facts, **self.labels, "name": self.name}

    @property
    def used(self) -> float:
        """The part of its slots that is taken; with no limit it stays below any that has one."""
        return self.load / self.slots if self.slots else self.load * 1e-9
