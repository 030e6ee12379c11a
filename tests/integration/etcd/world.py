"""The bridge's world for tests: one etcd in memory, one agent's host, any number of bridges, and one clock."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from workers import store
from workers.bridge.loop import Bridge
from workers.core.commands import NewCommand
from workers.core.legacy import Names
from workers.links.etcd import Put
from workers.links.testing import MemoryEtcd, MemoryLink
from workers.models import Command
from workers.testing import FakeAgents, committing

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = Names("x/")


@dataclass
class World:
    """One etcd, one agent's host and any number of bridges, all by one clock that only `tick` moves."""

    agents: FakeAgents
    now: datetime = START
    etcd: MemoryEtcd = field(init=False)
    bridges: list[Bridge] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.etcd = MemoryEtcd(clock=lambda: self.now.timestamp())

    def bridge(self) -> Bridge:
        """Another bridge; it has done nothing yet."""
        self.bridges.append(Bridge(MemoryLink(self.etcd), NAMES, clock=lambda: self.now))
        return self.bridges[-1]

    def tick(self, seconds: float = 3) -> None:
        """Time passes, agents do what they were told, and every bridge takes two turns."""
        self.now += timedelta(seconds=seconds)
        self.agents.beat(self.now)
        self.agents.settle(self.now)
        self.turn()

    def turn(self) -> None:
        for _ in range(2):
            for bridge in self.bridges:
                bridge.step()

    def submit(self, *argv: str, **fields: Any) -> Command:
        with committing():
            (command,) = store.submit([NewCommand(argv=argv, **fields)], self.now)
        return command

    def put(self, name: str, document: Any) -> int:
        """An outsider writes `task_<name>`."""
        value = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.etcd.apply([Put(f"x/task_{name}", value)], [])

    def record(self, key: str) -> Any:
        """What is under a key; None for nothing."""
        found = self.etcd.records.get(f"x/{key}")
        return None if found is None else json.loads(found.value or b"null")

    def task(self, name: str) -> Any:
        return self.record(f"task_{name}")


def leading(*bridges: Bridge) -> list[bool]:
    """Which of the bridges lead now."""
    return [bridge.leads for bridge in bridges]
