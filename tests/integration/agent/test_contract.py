"""What every agent answers to orders: one contract, kept by the real agent and by its twin in memory."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.support.agents import HOST, TestHost
from tests.support.wait import wait_until
from workers.agent.core.holding import NameLost
from workers.protocol import (
    Accepted,
    Admitted,
    Applied,
    Ended,
    Order,
    Orders,
    Output,
    QueryUnits,
    Refused,
    Report,
    RunCommand,
    SetDraining,
    Started,
    StopUnit,
    Superseded,
    Unknown,
)
from workers.testing import FakeAgent, FakeAgents, Ran

Kind = TypeVar("Kind", bound=Report)
UNIT = "command/1"
SESSION = "session-of-the-twin"
SPEAKS = ("sh", "-c", "printf hi; exit 7")
STAYS = ("sleep", "600")
MISSING = ("/no/such/program",)
WAYS = {
    SPEAKS: Ran(exit_code=7, stdout=b"hi"),
    STAYS: Ran(holds=True),
    MISSING: Ran(start_error="no such file"),
}


class Agent(Protocol):
    """An agent and what it has reported, in order."""

    session: str

    def order(self, *orders: Order, fence: int = 0) -> None:
        """Raises NameLost."""

    def reported(self) -> list[Report]: ...

    def unreported(self) -> int:
        """0 once everything has been confirmed."""


class Twin:
    """The agent in memory; `Applied` is said by the test."""

    def __init__(self) -> None:
        self.session = SESSION
        self._agents = FakeAgents()
        self._agents.run = lambda order: WAYS[tuple(order.argv)]
        self._agent = FakeAgent(HOST, "twin", 0.0, session=SESSION)
        self._agents.agents[HOST] = self._agent
        self._reports: list[Report] = []

    def order(self, *orders: Order, fence: int = 0) -> None:
        envelope = Orders(host=HOST, sent_at=0, orders=list(orders), fence=fence)
        before = self._agent.next_seq
        self._agents.receive(envelope, datetime.now(UTC))
        self._reports += [numbered.report for numbered in self._agent.spool if numbered.seq >= before]
        self._agents.receive(
            Orders(host=HOST, sent_at=0, orders=[Applied(session=SESSION, seq=self._agent.next_seq - 1)]),
            datetime.now(UTC),
        )

    def reported(self) -> list[Report]:
        return self._reports

    def unreported(self) -> int:
        return len(self._agent.spool)


class Real:
    """The agent with its supervisor and its journal."""

    def __init__(self, host: TestHost) -> None:
        host.start()
        self._host = host
        self.session = wait_until(lambda: host.control.heartbeats, what="a heartbeat")[0].session

    def order(self, *orders: Order, fence: int = 0) -> None:
        self._host.order(*orders, fence=fence)

    def reported(self) -> list[Report]:
        return self._host.reports

    def unreported(self) -> int:
        return self._host.agent.unreported if self._host.agent is not None else 0


@pytest.fixture(params=["twin", "real"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Agent]:
    """Each test runs against both."""
    if request.param == "twin":
        yield Twin()
        return
    host = TestHost(tmp_path / "agent")
    yield Real(host)
    host.close()


def run(agent: Agent, argv: tuple[str, ...], attempt: int = 1, start_by: float = 0) -> None:
    agent.order(RunCommand(unit=UNIT, attempt=attempt, argv=list(argv), start_by=start_by))


def told(agent: Agent, kind: type[Kind], times: int = 1) -> list[Kind]:
    """The reports of one kind, once there are so many of them."""

    def found() -> list[Kind]:
        return [report for report in agent.reported() if isinstance(report, kind)]

    wait_until(lambda: len(found()) >= times, 20, what=f"{kind.__name__}: {agent.reported()}")
    return found()


def test_a_command_is_accepted_started_and_ended_with_its_output(agent: Agent) -> None:
    run(agent, SPEAKS)

    (ended,) = told(agent, Ended)
    kinds = [type(report) for report in agent.reported()]
    assert (ended.exit_code, ended.signal, ended.start_error, ended.stdout_bytes) == (7, None, "", 2)
    assert b"".join(piece.data for piece in told(agent, Output)) == b"hi"
    assert kinds.index(Accepted) < kinds.index(Started) < kinds.index(Ended)


def test_one_that_cannot_be_started_says_why_and_has_no_exit_code(agent: Agent) -> None:
    run(agent, MISSING)

    (ended,) = told(agent, Ended)
    assert ended.start_error
    assert ended.exit_code is None


def test_an_order_that_comes_twice_is_carried_out_once_and_answered_twice(agent: Agent) -> None:
    run(agent, SPEAKS)
    told(agent, Ended)

    run(agent, SPEAKS)

    first, second = told(agent, Ended, times=2)
    assert first == second
    assert len(told(agent, Started)) == 1


def test_an_older_attempt_is_not_taken_after_a_newer_one(agent: Agent) -> None:
    run(agent, SPEAKS, attempt=2)
    told(agent, Ended)

    run(agent, SPEAKS, attempt=1)
    agent.order(QueryUnits(units=[(UNIT, 1)]))

    told(agent, Unknown)
    assert {report.attempt for report in told(agent, Started)} == {2}


def test_a_stop_ends_what_runs_and_says_that_it_was_cancelled(agent: Agent) -> None:
    run(agent, STAYS)
    told(agent, Started)

    agent.order(StopUnit(unit=UNIT, attempt=1, grace_s=5))

    (ended,) = told(agent, Ended)
    assert (ended.cancelled, ended.exit_code, ended.signal) == (True, None, 15)


def test_a_stop_that_comes_before_its_order_has_the_order_refused(agent: Agent) -> None:
    agent.order(StopUnit(unit=UNIT, attempt=1))
    told(agent, Unknown)

    run(agent, SPEAKS)

    (refused,) = told(agent, Refused)
    assert refused.reason == "it was stopped before it came"


def test_a_query_is_answered_with_the_last_report_or_with_unknown(agent: Agent) -> None:
    run(agent, SPEAKS)
    told(agent, Ended)

    agent.order(QueryUnits(units=[(UNIT, 1), ("command/none", 1)]))

    assert len(told(agent, Ended, times=2)) == 2
    assert [report.unit for report in told(agent, Unknown)] == ["command/none"]


def test_a_draining_agent_refuses_what_is_new_until_it_takes_work_again(agent: Agent) -> None:
    agent.order(SetDraining(draining=True))
    run(agent, SPEAKS)
    (refused,) = told(agent, Refused)

    agent.order(SetDraining(draining=False))
    run(agent, SPEAKS, attempt=2)

    assert refused.reason == "the host is draining"
    assert told(agent, Ended)[0].attempt == 2


def test_an_order_after_its_start_deadline_is_refused(agent: Agent) -> None:
    run(agent, SPEAKS, start_by=1)

    (refused,) = told(agent, Refused)
    assert refused.reason == "it came after its start deadline"


def test_what_control_has_applied_is_kept_no_longer(agent: Agent) -> None:
    run(agent, SPEAKS)
    told(agent, Ended)

    wait_until(lambda: not agent.unreported(), what="nothing to be left unreported")


def test_one_that_is_superseded_takes_nothing_more(agent: Agent) -> None:
    with pytest.raises(NameLost, match="a newer one is there"):
        agent.order(Superseded(session=agent.session, reason="a newer one is there"))
    with pytest.raises(NameLost):
        run(agent, SPEAKS)

    assert not agent.reported()


def test_an_order_under_a_newer_fencing_token_is_not_taken(agent: Agent) -> None:
    agent.order(Admitted(session=agent.session, fence=7), fence=7)

    with pytest.raises(NameLost, match="fencing token 8"):
        agent.order(RunCommand(unit=UNIT, attempt=1, argv=list(SPEAKS)), fence=8)

    assert not agent.reported()
