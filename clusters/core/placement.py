"""Where a task may run and where it runs best: filters that give reasons, then a score.

Invariant: what a host holds is counted here from all issued tasks; no port is given twice, no resource beyond what the
host has. A host that does not tell how much it has of something is not limited in it.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from clusters.core.document import Port, TaskDefinition
from clusters.core.ports import PortPool

RESOURCES = ("memory_mb", "cpu_units", "disk_mb")
RESOURCE_WORDS = {"memory_mb": "MB of memory", "cpu_units": "CPU units", "disk_mb": "MB of disk"}
REASONS_MAX = 5
NO_PORTS = PortPool()
Offer = tuple[tuple[float, ...], str, str]


@dataclass(frozen=True)
class Host:
    """A host as its registry row tells it. None means not told, so not limited.

    `suspect_ports` are those with which tasks failed of late: something else may listen there, so they are taken last.
    """

    id: str
    name: str
    connected: bool = True
    draining: bool = False
    executors: frozenset[str] = frozenset()
    ports: PortPool = NO_PORTS
    suspect_ports: frozenset[int] = frozenset()
    memory_mb: int | None = None
    cpu_units: int | None = None
    disk_mb: int | None = None


@dataclass(frozen=True)
class Occupant:
    """What one issued task holds of its host."""

    task: str
    host: str
    service: int
    ports: tuple[int, ...] = ()
    memory_mb: int = 0
    cpu_units: int = 0
    disk_mb: int = 0


@dataclass
class Load:
    """A host and what is held of it. Changes as tasks are placed within one decision."""

    host: Host
    occupants: dict[str, Occupant] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    used: Counter[str] = field(default_factory=Counter)
    per_service: Counter[int] = field(default_factory=Counter)

    def free_ports(self) -> Iterator[int]:
        """The pool's free numbers, lowest first, those under suspicion at the end."""
        suspect = self.host.suspect_ports
        free = (number for number in self.host.ports if number not in self.taken)
        yield from (number for number in free if number not in suspect)
        yield from sorted(number for number in suspect if number in self.host.ports and number not in self.taken)

    def add(self, occupant: Occupant) -> None:
        self.occupants[occupant.task] = occupant
        self.taken.update(occupant.ports)
        self.per_service[occupant.service] += 1
        for resource in RESOURCES:
            self.used[resource] += getattr(occupant, resource)

    def without(self, task: str) -> "Load":
        """This load as it would be with one task gone."""
        rest = Load(self.host)
        for occupant in self.occupants.values():
            if occupant.task != task:
                rest.add(occupant)
        return rest

    def free_share(self) -> float:
        """The scarcest resource's free share, 1 where nothing is limited."""
        shares = [1.0]
        for resource in RESOURCES:
            capacity = getattr(self.host, resource)
            if capacity:
                shares.append((capacity - self.used[resource]) / capacity)
        return min(shares)

    def obstacle(self, definition: TaskDefinition) -> str:
        """Why this host cannot take such a task, empty where it can."""
        if not self.host.connected:
            return "disconnected"
        if self.host.draining:
            return "draining"
        missing = definition.executors - self.host.executors
        if missing:
            return f"no executor {', '.join(sorted(missing))}"
        return self.shortage(definition) or self.port_shortage(definition.ports)

    def shortage(self, definition: TaskDefinition) -> str:
        for resource in RESOURCES:
            capacity, needed = getattr(self.host, resource), getattr(definition, resource)
            if needed and capacity is not None and self.used[resource] + needed > capacity:
                free = max(capacity - self.used[resource], 0)
                return f"{free} {RESOURCE_WORDS[resource]} free of {capacity}, {needed} needed"
        return ""

    def port_shortage(self, ports: Collection[Port]) -> str:
        held = [port.fixed for port in ports if port.fixed in self.taken]
        if held:
            return f"port {held[0]} is taken"
        wanted = sum(1 for port in ports if not port.fixed)
        if not wanted:
            return ""
        pool, fixed = self.host.ports, {port.fixed for port in ports if port.fixed}
        if len(pool) - sum(number in pool for number in self.taken | fixed) >= wanted:
            return ""
        return "no port left in its pool" if pool else "offers no ports"

    def choose_ports(self, ports: Collection[Port]) -> dict[str, int]:
        """Numbers for a task's ports. Call it only where there is no obstacle."""
        fixed = {port.name: port.fixed for port in ports if port.fixed}
        wanted = [port.name for port in ports if not port.fixed]
        free = (number for number in self.free_ports() if number not in fixed.values())
        return fixed | dict(zip(wanted, free, strict=False))


def loads_of(hosts: Iterable[Host], occupants: Iterable[Occupant]) -> dict[str, Load]:
    """All hosts by id with what is held of each."""
    loads = {host.id: Load(host) for host in hosts}
    for occupant in occupants:
        if occupant.host in loads:
            loads[occupant.host].add(occupant)
    return loads


class Placer:
    """Places tasks of one service on the best hosts. The cost of a placement is logarithmic in the number of hosts."""

    def __init__(self, loads: Mapping[str, Load], service: int, definition: TaskDefinition, placement: str) -> None:
        self.loads = loads
        self.service = service
        self.definition = definition
        self.placement = placement
        self.obstacles: dict[str, str] = {}

    @cached_property
    def heap(self) -> list[Offer]:
        """All hosts, the best first; made when something is to be placed, as most decisions place nothing."""
        offers = [self.offer(load) for load in self.loads.values()]
        heapq.heapify(offers)
        return offers

    def offer(self, load: Load) -> Offer:
        return self.score(load), load.host.name, load.host.id

    def score(self, load: Load) -> tuple[float, ...]:
        """Lowest is best. `spread`: fewest of this service, then fewest tasks, then most free. `binpack`: fullest."""
        count = float(len(load.occupants))
        if self.placement == "binpack":
            return (load.free_share(), -count)
        return (float(load.per_service[self.service]), count, -load.free_share())

    def place(self, task: str, avoid: Collection[str] = ()) -> tuple[Host, dict[str, int]] | None:
        """Takes the best host and its ports for a task, one not to be avoided where there is any; None if none fits."""
        load = self.best(avoid)
        if load is None:
            return None
        ports = load.choose_ports(self.definition.ports)
        load.add(occupant_of(task, load.host.id, self.service, self.definition, ports.values()))
        heapq.heappush(self.heap, self.offer(load))
        return load.host, ports

    def best(self, avoid: Collection[str]) -> Load | None:
        avoided: list[Offer] = []
        chosen: Load | None = None
        while self.heap and chosen is None:
            entry = heapq.heappop(self.heap)
            load = self.loads[entry[2]]
            obstacle = load.obstacle(self.definition)
            if obstacle:
                self.obstacles[load.host.name] = obstacle
            elif load.host.id in avoid:
                avoided.append(entry)
            else:
                chosen = load
        if chosen is None and avoided:
            chosen = self.loads[avoided.pop(0)[2]]
        for entry in avoided:
            heapq.heappush(self.heap, entry)
        return chosen

    def fits_anywhere(self) -> bool:
        """Whether one more such task would fit now."""
        load = self.best(())
        if load is not None:
            heapq.heappush(self.heap, self.offer(load))
        return load is not None

    def fits_without(self, task: str, host: str) -> bool:
        """Whether such a task would fit on that host if one of its tasks were gone."""
        load = self.loads.get(host)
        return load is not None and not load.without(task).obstacle(self.definition)

    def why_nowhere(self) -> str:
        """Each host's obstacle, as a person reads it."""
        if not self.loads:
            return "there is no host"
        told = [f"{name}: {obstacle}" for name, obstacle in sorted(self.obstacles.items())]
        rest = len(told) - REASONS_MAX
        return "; ".join(told[:REASONS_MAX]) + (f"; and {rest} more hosts" if rest > 0 else "")


def occupant_of(task: str, host: str, service: int, definition: TaskDefinition, ports: Iterable[int]) -> Occupant:
    """What a task of this definition holds."""
    return Occupant(
        task=task,
        host=host,
        service=service,
        ports=tuple(ports),
        memory_mb=definition.memory_mb,
        cpu_units=definition.cpu_units,
        disk_mb=definition.disk_mb,
    )
