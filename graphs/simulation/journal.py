"""Follows what a history commits: every event of its graphs in the order of commit, beside what else happened."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphs.simulation.hazards import Hazards
from scheduler_project.toolkit.events import NewEvent, recorded_after

LOOK = 10_000


@dataclass(frozen=True)
class Told:
    """One committed event of a graph."""

    at_s: float
    graph_id: str
    name: str
    message: str
    data: Mapping[str, Any]
    actor: str


@dataclass
class Journal:
    """`lines` is the history for people; `told` the events for the checks."""

    hazards: Hazards
    graph_ids: Collection[str]
    lines: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    last_id: int = 0

    def __post_init__(self) -> None:
        self.subjects = {f"graph:{graph_id}": graph_id for graph_id in self.graph_ids}
        while found := recorded_after(self.last_id, LOOK):
            self.last_id = found[-1][0]

    def note(self, now_s: float, text: str) -> None:
        """Something that is no event of ours."""
        self.lines.append(f"{now_s:9.3f}  {text}")

    def follow(self, now_s: float) -> None:
        """Takes in what was committed since the last look."""
        with self.hazards.calm():
            found = recorded_after(self.last_id, LOOK)
        for self.last_id, event in found:
            graph_id = self.subjects.get(event.subject)
            if graph_id is not None:
                self.told.append(Told(now_s, graph_id, event.name, event.message, event.data, event.actor))
            self.note(now_s, _line(event))


def _line(event: NewEvent) -> str:
    component = event.data.get("component", "")
    attempt = f" attempt {event.data['attempt']}" if event.data.get("attempt") else ""
    why = f": {event.message}" if event.message else ""
    return f"{event.subject} {event.name} {component}{attempt}{why}".rstrip()
