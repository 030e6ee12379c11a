"""Agents for tests: the twin of the broker and of the agents behind it, in memory.

`FakeAgents` takes the place of the broker, answers orders as an agent would, and has its reports applied. Works in
tests with and without a surrounding transaction. Invariant: as a real agent, it takes each (unit, attempt) once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

from django.db import connection
from django.test import TestCase

from workers import dispatch, store
from workers.agent.core.holding import Holding, NameLost
from workers.agent.core.orders import DRAINING, STOPPED_BEFORE, refusal
from workers.models import Worker
from workers.protocol import (
    Accepted,
    Applied,
    Ended,
    Heartbeat,
    KeepTask,
    Numbered,
    Order,
    Orders,
    Output,
    QueryUnits,
    Refused,
    Report,
    Reports,
    RunCommand,
    SetDraining,
    Started,
    StopUnit,
    TaskState,
    Unknown,
    decode_heartbeat,
    decode_orders,
    decode_reports,
    encode,
)

ROUNDS_MAX = 50
TERM = 15
Unit = tuple[str, int]


@dataclass(frozen=True)
class Ran:
    """How a command goes. `holds`: it runs until `FakeAgents.finish` or an order to stop."""

    exit_code: int | None = 0
    stdout: bytes = b""
    stderr: bytes = b""
    start_error: str = ""
    refusal: str = ""
    holds: bool = False


def succeeds(order: RunCommand) -> Ran:
    """Every command exits 0 without output."""
    return Ran()


def runs_well(order: KeepTask) -> Sequence[str]:
    """The states that a task reports after it was accepted."""
    return ("starting", "running")


@dataclass
class FakeAgent:
    """One host's agent: its journal of units, its spool of reports not yet applied."""

    host: str
    worker_id: str
    started_at: float
    session: str = field(default_factory=lambda: uuid4().hex)
    stated: dict[str, Any] = field(default_factory=dict)
    alive: bool = True
    draining: bool = False
    orders: list[Order] = field(default_factory=list)
    taken: list[Order] = field(default_factory=list)
    journal: dict[Unit, list[Report]] = field(default_factory=dict)
    held: dict[Unit, RunCommand] = field(default_factory=dict)
    spool: list[Numbered] = field(default_factory=list)
    next_seq: int = 1
    holding: Holding = field(init=False)

    def __post_init__(self) -> None:
        self.holding = Holding(self.session)

    def report(self, *reports: Report) -> None:
        for report in reports:
            if not isinstance(report, Unknown | Output):
                self.journal.setdefault((report.unit, report.attempt), []).append(report)
            self.report_unkept(report)

    def newest_attempt(self, unit: str) -> int:
        """The highest attempt that the journal knows; 0 for none."""
        return max((attempt for known, attempt in self.journal if known == unit), default=0)

    def repeat(self, unit: Unit, at: float) -> None:
        """Reports again the last that the journal holds on a unit."""
        known = self.journal.get(unit)
        self.report_unkept(known[-1] if known else Unknown(unit=unit[0], attempt=unit[1], at=at))

    def bury(self, unit: Unit, at: float) -> None:
        """It is to be stopped before it came: an order for it that is still under way is refused."""
        self.journal[unit] = [Refused(unit=unit[0], attempt=unit[1], at=at, reason=STOPPED_BEFORE)]
        self.report_unkept(Unknown(unit=unit[0], attempt=unit[1], at=at))

    def report_unkept(self, report: Report) -> None:
        self.spool.append(Numbered(self.next_seq, report))
        self.next_seq += 1

    def applied(self, order: Applied) -> None:
        if order.session == self.session:
            self.spool = [numbered for numbered in self.spool if numbered.seq > order.seq]


class FakeAgents:
    """Use as a context manager around the code under test.

    `run` decides how a command goes, `keep` which states a task reports; both may be set anew at any time.
    """

    def __init__(self) -> None:
        self.run: Callable[[RunCommand], Ran] = succeeds
        self.keep: Callable[[KeepTask], Sequence[str]] = runs_well
        self.agents: dict[str, FakeAgent] = {}
        self.published: list[tuple[str, Order]] = []
        self.told: list[tuple[str, Order]] = []
        self.wakes = 0

    def __enter__(self) -> Self:
        self._before = dispatch.use_transport(self)
        return self

    def __exit__(self, *raised: object) -> None:
        dispatch.use_transport(self._before)

    def send(self, orders: Mapping[str, Sequence[Order]]) -> None:
        """In place of the broker: orders for a host that is away are lost, as an expired message is."""
        for host, batch in orders.items():
            self.published += [(host, order) for order in batch]
            agent = self.agents.get(host)
            if agent is not None and agent.alive:
                fence = Worker.objects.filter(name=host).values_list("fence", flat=True).first() or 0
                envelope = encode(Orders(host=host, sent_at=0, orders=list(batch), fence=fence))
                self._take_in(agent, decode_orders(envelope))

    def tell(self, audience: str, order: Order) -> None:
        self.told.append((audience, order))

    def wake(self) -> None:
        self.wakes += 1

    def receive(self, envelope: Orders, now: datetime) -> list[Report]:
        """Gives one envelope to its agent, without any control side. Returns what it keeps that is not yet applied.

        Raises NameLost where it is for a newer agent.
        """
        agent = self.agents[envelope.host]
        agent.holding.check(envelope)
        agent.orders += decode_orders(encode(envelope)).orders
        self._answer(agent, now)
        return [numbered.report for numbered in agent.spool]

    def _take_in(self, agent: FakeAgent, envelope: Orders) -> None:
        try:
            agent.holding.check(envelope)
        except NameLost:
            agent.alive = False
        else:
            agent.orders += envelope.orders

    def connect(self, *hosts: str, now: datetime, worker_id: str = "", **fields: Any) -> None:
        """Starts an agent on each host; `fields` are those of `protocol.Heartbeat`, such as labels."""
        for host in hosts:
            known = self.agents.get(host)
            agent = FakeAgent(host, worker_id or f"id-of-{host}", now.timestamp())
            if known is not None:
                agent.journal, agent.held, agent.spool, agent.next_seq = (
                    known.journal,
                    known.held,
                    known.spool,
                    known.next_seq,
                )
            agent.stated = {"facts": {"executors": ["bash"]}, "slots": 1000, **fields}
            self.agents[host] = agent
            self._beat(agent, now)

    def beat(self, now: datetime) -> None:
        """A heartbeat of every living agent."""
        for agent in self._living():
            self._beat(agent, now)

    def stop(self, host: str, now: datetime) -> None:
        """The agent says goodbye and is gone."""
        self._beat(self.agents[host], now, stopping=True)
        self.agents[host].alive = False

    def lose(self, host: str) -> None:
        """The agent falls silent; what was on its way to it is lost. `connect` brings it back with its journal."""
        self.agents[host].alive = False
        self.agents[host].orders.clear()

    def finish(self, unit: str, now: datetime, ended: Ran = Ran()) -> None:
        """Ends a command that holds."""
        agent, key = next((agent, key) for agent in self.agents.values() for key in agent.held if key[0] == unit)
        self._end(agent, agent.held.pop(key), ended, now)

    def settle(self, now: datetime) -> None:
        """Places, delivers, answers and applies until nothing moves. Raises AssertionError when that never happens."""
        for _ in range(ROUNDS_MAX):
            if not self._round(now):
                return
        raise AssertionError(f"orders and reports still move after {ROUNDS_MAX} rounds")

    def _round(self, now: datetime) -> bool:
        with committing():
            while store.place_pending(now):
                pass
        moved = False
        for agent in self._living():
            moved = self._answer(agent, now) or moved
            if agent.spool:
                self._deliver(agent, now)
                moved = True
        return moved

    def _answer(self, agent: FakeAgent, now: datetime) -> bool:
        orders, agent.orders = agent.orders, []
        for order in orders:
            agent.taken.append(order)
            self._carry_out(agent, order, now)
        return bool(orders)

    def _carry_out(self, agent: FakeAgent, order: Order, now: datetime) -> None:
        match order:
            case RunCommand() | KeepTask():
                self._take(agent, order, now)
            case StopUnit():
                self._stop(agent, order, now)
            case QueryUnits():
                for unit in order.units:
                    agent.repeat((unit[0], unit[1]), now.timestamp())
            case Applied():
                agent.applied(order)
            case SetDraining():
                agent.draining = order.draining

    def _take(self, agent: FakeAgent, order: RunCommand | KeepTask, now: datetime) -> None:
        if agent.newest_attempt(order.unit) > order.attempt:
            return
        if (order.unit, order.attempt) in agent.journal:
            agent.repeat((order.unit, order.attempt), now.timestamp())
        elif reason := self._refusal(agent, order, now):
            refused = Refused(unit=order.unit, attempt=order.attempt, at=now.timestamp(), reason=reason)
            agent.report(refused)
        elif isinstance(order, RunCommand):
            self._run(agent, order, now)
        else:
            self._keep(agent, order, now)

    @staticmethod
    def _refusal(agent: FakeAgent, order: RunCommand | KeepTask, now: datetime) -> str:
        draining = DRAINING if agent.draining else ""
        return refusal(order, now.timestamp(), draining) if isinstance(order, RunCommand) else draining

    def _run(self, agent: FakeAgent, order: RunCommand, now: datetime) -> None:
        ran, at = self.run(order), now.timestamp()
        if ran.refusal:
            agent.report(Refused(unit=order.unit, attempt=order.attempt, at=at, reason=ran.refusal))
            return
        agent.report(Accepted(unit=order.unit, attempt=order.attempt, at=at))
        if not ran.start_error:
            agent.report(Started(unit=order.unit, attempt=order.attempt, at=at, pid=1))
        if ran.holds:
            agent.held[order.unit, order.attempt] = order
            return
        self._end(agent, order, ran, now)

    def _end(self, agent: FakeAgent, order: RunCommand, ran: Ran, now: datetime) -> None:
        for stream, data in (("stdout", ran.stdout), ("stderr", ran.stderr)):
            if data:
                agent.report(Output(unit=order.unit, attempt=order.attempt, stream=stream, offset=0, data=data))
        agent.report(
            Ended(
                unit=order.unit,
                attempt=order.attempt,
                at=now.timestamp(),
                exit_code=None if ran.start_error else ran.exit_code,
                start_error=ran.start_error,
                stdout_bytes=len(ran.stdout),
                stderr_bytes=len(ran.stderr),
            )
        )

    def _keep(self, agent: FakeAgent, order: KeepTask, now: datetime) -> None:
        agent.report(Accepted(unit=order.unit, attempt=order.attempt, at=now.timestamp()))
        agent.report(*self._task_states(order.unit, order.attempt, self.keep(order), now))

    def _stop(self, agent: FakeAgent, order: StopUnit, now: datetime) -> None:
        key = (order.unit, order.attempt)
        if key in agent.held:
            del agent.held[key]
            at = now.timestamp()
            agent.report(Ended(unit=order.unit, attempt=order.attempt, at=at, signal=TERM, cancelled=True))
        elif order.unit.startswith("task/") and key in agent.journal:
            agent.report(*self._task_states(order.unit, order.attempt, ["stopping", "stopped"], now))
        elif key in agent.journal:
            agent.repeat(key, now.timestamp())
        else:
            agent.bury(key, now.timestamp())

    @staticmethod
    def _task_states(unit: str, attempt: int, states: Sequence[str], now: datetime) -> Iterator[TaskState]:
        for state in states:
            yield TaskState(unit=unit, attempt=attempt, at=now.timestamp(), state=state, pid=1)

    def _deliver(self, agent: FakeAgent, now: datetime) -> None:
        reports = Reports(host=agent.host, session=agent.session, sent_at=now.timestamp(), reports=list(agent.spool))
        with committing():
            store.apply_reports(decode_reports(encode(reports)), now)

    def _beat(self, agent: FakeAgent, now: datetime, **fields: Any) -> None:
        heartbeat = Heartbeat(
            host=agent.host,
            worker_id=agent.worker_id,
            session=agent.session,
            started_at=agent.started_at,
            sent_at=now.timestamp(),
            version="test",
            address="127.0.0.1",
            **{**agent.stated, **fields},
        )
        with committing():
            store.apply_heartbeats([decode_heartbeat(encode(heartbeat))], now)

    def _living(self) -> list[FakeAgent]:
        return [agent for agent in self.agents.values() if agent.alive]


def committing() -> AbstractContextManager[Any]:
    """Inside a test's transaction nothing is ever committed, so what waits for that is run at the end of the block."""
    return TestCase.captureOnCommitCallbacks(execute=True) if connection.in_atomic_block else nullcontext()
