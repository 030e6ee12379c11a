"""Fixtures of the tests of the etcd bridge."""

from collections.abc import Iterator

import pytest

from tests.integration.etcd.world import World
from workers.bridge import term
from workers.testing import FakeAgents


@pytest.fixture
def agents() -> Iterator[FakeAgents]:
    """Agents in memory in place of the broker."""
    with FakeAgents() as agents:
        yield agents


@pytest.fixture
def world(agents: FakeAgents, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world with one connected host."""
    monkeypatch.setattr(term, "WORKERS_EVERY_S", 0)
    monkeypatch.setattr(term, "OUTPUT_EVERY_S", 0)
    monkeypatch.setattr(term, "FORGET_EVERY_S", 1)
    world = World(agents)
    monkeypatch.setattr(term, "monotonic", lambda: world.now.timestamp())
    agents.connect("host-a", now=world.now)
    yield world
    for bridge in world.bridges:
        bridge.close()
