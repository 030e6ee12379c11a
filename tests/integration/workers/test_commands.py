"""The life of a command through the store and the agents' protocol, with agents in memory."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from workers import store
from workers.core.commands import NewCommand
from workers.testing import FakeAgents, Ran

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def agents() -> Iterator[FakeAgents]:
    with FakeAgents() as agents:
        yield agents


def test_a_command_runs_and_its_output_and_exit_code_come_back(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.run = lambda order: Ran(exit_code=3, stdout=b"hi\xff\n", stderr=b"oh")

    (command,) = store.submit([NewCommand(argv=["sh", "-c", "echo hi; exit 3"])], NOW)
    agents.settle(NOW)

    command.refresh_from_db()
    assert (command.state, command.exit_code, command.attempt) == ("done", 3, 1)
    assert store.output_of(command.id, "stdout") == b"hi\xff\n"
    assert store.output_of(command.id, "stderr") == b"oh"
