"""A world of hosts and tasks in memory, on which decisions about services are carried out as the store would do it."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from clusters.core.backoff import delay_after
from clusters.core.document import Container, Port, TaskDefinition
from clusters.core.placement import Host, Occupant, occupant_of
from clusters.core.ports import parse_pool
from clusters.core.reconcile import decide
from clusters.core.snapshot import Plan, ServiceView, Snapshot, TaskView
from clusters.core.states import LIVE, UNFINISHED

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BASH = [Container("main", "bash", {"start": ["true"]})]


def definition_of(version: int = 1, name: str = "web", **fields: object) -> TaskDefinition:
    """A bash task with one port chosen by the scheduler."""
    wanted = {"containers": BASH, "ports": [Port("PROVIDED_PORT")], **fields}
    return TaskDefinition(name, version, **wanted)  # type: ignore[arg-type]


def host_of(name: str, ports: str = "31000-31099", **fields: object) -> Host:
    """A connected host with bash and a pool of ports; its id is its name."""
    wanted = {"executors": frozenset({"bash"}), "ports": parse_pool(ports), **fields}
    return Host(name, name, **wanted)  # type: ignore[arg-type]


def service_of(**fields: object) -> ServiceView:
    """A service of three tasks that an upgrade may take down to two and up to four."""
    definition = fields.pop("definition", None) or definition_of()
    assert isinstance(definition, TaskDefinition)
    wanted = {
        "id": 1,
        "name": "web",
        "definition_id": definition.version,
        "definition": definition,
        "desired": 3,
        "min": 2,
        "max": 4,
        **fields,
    }
    return ServiceView(**wanted)  # type: ignore[arg-type]


@dataclass
class Placed:
    """A task and the ports that it holds."""

    view: TaskView
    ports: tuple[int, ...]
    definition: TaskDefinition


@dataclass
class World:
    """Hosts, services and tasks. `reconcile` decides and carries the plan out; the rest is what agents do."""

    hosts: dict[str, Host] = field(default_factory=dict)
    services: dict[int, ServiceView] = field(default_factory=dict)
    tasks: dict[str, Placed] = field(default_factory=dict)
    now: datetime = NOON
    last: Plan = field(default_factory=Plan)
    ids: "count[int]" = field(default_factory=count)

    @classmethod
    def of(cls, *hosts: Host, services: tuple[ServiceView, ...] = ()) -> "World":
        wanted = services or (service_of(),)
        return cls({host.id: host for host in hosts}, {service.id: service for service in wanted})

    def snapshot(self) -> Snapshot:
        return Snapshot(
            services=list(self.services.values()),
            tasks=[
                task.view
                for task in self.tasks.values()
                if task.view.state in UNFINISHED or task.view.next_issue_at is not None
            ],
            hosts=list(self.hosts.values()),
            occupants=self.occupants(),
        )

    def occupants(self) -> list[Occupant]:
        return [
            occupant_of(task.view.id, task.view.host, task.view.service, task.definition, task.ports)
            for task in self.tasks.values()
            if task.view.state in UNFINISHED and task.view.host
        ]

    def reconcile(self) -> Plan:
        self.last = plan = decide(self.snapshot(), self.now)
        for task_id in plan.lose:
            self.change(task_id, state="lost")
        for task_id, reason in plan.stop.items():
            self.change(task_id, state="stopping", reason=reason)
        for task_id, reason in plan.leave.items():
            self.change(task_id, leaving=reason)
        for task_id in plan.forget:
            self.change(task_id, next_issue_at=None)
        for issue in plan.issue:
            service = self.services[issue.service]
            view = TaskView(
                id=f"t{next(self.ids)}",
                service=service.id,
                definition_id=service.definition_id,
                version=service.definition.version,
                instance=issue.instance,
                host=issue.host,
                state="issued",
                failures=issue.failures,
                avoid=issue.avoid,
            )
            self.tasks[view.id] = Placed(view, tuple(issue.ports.values()), service.definition)
        return plan

    def change(self, task_id: str, **fields: object) -> None:
        self.tasks[task_id].view = replace(self.tasks[task_id].view, **fields)  # type: ignore[arg-type]

    def change_host(self, name: str, **fields: object) -> None:
        self.hosts[name] = replace(self.hosts[name], **fields)  # type: ignore[arg-type]

    def change_service(self, service_id: int = 1, **fields: object) -> None:
        self.services[service_id] = replace(self.services[service_id], **fields)  # type: ignore[arg-type]

    def upgrade(self, version: int, service_id: int = 1) -> None:
        name = self.services[service_id].definition.name
        self.change_service(service_id, definition_id=version, definition=definition_of(version, name))

    def reject(self, task_id: str, reason: str = "too many attempts") -> None:
        view = self.tasks[task_id].view
        failures = view.failures + 1
        self.change(
            task_id,
            state="rejected",
            reason=reason,
            failures=failures,
            avoid=(*view.avoid, view.host or ""),
            next_issue_at=self.now + delay_after(failures),
        )

    def agents_obey(self) -> None:
        """Every issued task on a living host runs, every stopping one stops."""
        for task in list(self.tasks.values()):
            if not task.view.host or not self.hosts[task.view.host].connected:
                continue
            if task.view.state in LIVE:
                self.change(task.view.id, state="running", failures=0, avoid=())
            elif task.view.state == "stopping":
                self.change(task.view.id, state="stopped")

    def settle(self, rounds: int = 200) -> int:
        """Lets everything go well until nothing is left to do. Returns the number of rounds."""
        for done in range(rounds):
            plan = self.reconcile()
            waiting = any(verdict.look_again_at for verdict in plan.verdicts.values())
            if not (plan.issue or plan.stop or plan.lose or plan.leave or waiting or self.unsettled()):
                return done
            self.agents_obey()
            self.now += timedelta(seconds=61)
        raise AssertionError(f"not settled after {rounds} rounds: {self.last.verdicts}")

    def settle_or_wait(self, rounds: int = 20) -> None:
        """Lets everything go well for a while, also where a service cannot come to rest."""
        for _ in range(rounds):
            self.reconcile()
            self.agents_obey()

    def unsettled(self) -> list[TaskView]:
        return [one for one in self.in_state(*UNFINISHED) if one.state != "running"]

    def in_state(self, *states: str, service: int = 0) -> list[TaskView]:
        views = (task.view for task in self.tasks.values())
        return [view for view in views if view.state in states and service in (0, view.service)]

    def running(self, service: int = 0) -> list[TaskView]:
        return self.in_state("running", service=service)
