"""Fixtures of the tests of the etcd bridge."""

from collections.abc import Iterator

import pytest

from workers.testing import FakeAgents


@pytest.fixture
def agents() -> Iterator[FakeAgents]:
    """Agents in memory in place of the broker."""
    with FakeAgents() as agents:
        yield agents
