"""What a decision about services sees, and the plan that it gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from clusters.core.document import TaskDefinition
from clusters.core.placement import Host, Occupant


@dataclass(frozen=True)
class ServiceView:
    """Desired state of one service. `absent` says why it should not run at all, empty where it should."""

    id: int
    name: str
    definition_id: int
    definition: TaskDefinition
    desired: int
    min: int
    max: int
    placement: str = "spread"
    absent: str = ""


@dataclass(frozen=True)
class TaskView:
    """Issued state of one task: an unfinished one, or an ended one that waits to be replaced (`next_issue_at`)."""

    id: str
    service: int
    definition_id: int
    version: int
    instance: int
    host: str | None
    state: str
    reason: str = ""
    leaving: str = ""
    failures: int = 0
    avoid: tuple[str, ...] = ()
    next_issue_at: datetime | None = None


@dataclass(frozen=True)
class Snapshot:
    """`tasks` are those of `services`; `occupants` are all tasks of all services that hold something of a host."""

    services: Sequence[ServiceView]
    tasks: Sequence[TaskView]
    hosts: Sequence[Host]
    occupants: Sequence[Occupant]


@dataclass(frozen=True)
class Issue:
    """Issue an instance of a service on a host. `failures` and `avoid` come from the tries before."""

    service: int
    instance: int
    host: str
    host_name: str
    ports: dict[str, int]
    failures: int = 0
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What is left to say of a service: why it is not as desired, and when to look again without any news."""

    reason: str = ""
    look_again_at: datetime | None = None


@dataclass
class Plan:
    """What to do. `stop`, `lose` and `leave` give a reason per task id; `forget` are ended tasks not to be replaced."""

    issue: list[Issue] = field(default_factory=list)
    stop: dict[str, str] = field(default_factory=dict)
    lose: dict[str, str] = field(default_factory=dict)
    leave: dict[str, str] = field(default_factory=dict)
    forget: list[str] = field(default_factory=list)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
