"""What applying a file does to one object; the app's `manifest.py` plans a list of these."""

from dataclasses import dataclass
from typing import Any, Literal

from scheduler_project.toolkit.errors import Fault

Action = Literal["created", "changed", "unchanged", "refused"]


@dataclass(frozen=True)
class Change:
    """One object of a file and what applying it means. `value` is for the app that planned it.

    Invariant: `faults` is not empty exactly when `action` is `refused`.
    """

    kind: str
    name: str
    action: Action
    detail: str = ""
    value: Any = None
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        reason = self.detail or "; ".join(str(fault) for fault in self.faults)
        return f"{self.kind} {self.name}: {self.action}" + (f" ({reason})" if reason else "")
