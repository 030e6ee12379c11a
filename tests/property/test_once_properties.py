"""An agent runs each attempt at most once, and none is lost, whatever it is sent and wherever it dies.

A real agent with its real journal; the supervisor is played, as one that starts each process once and outlives the
agent. The agent dies, and comes back over the same journal, between any two steps, and just before or after it has a
process started. The host's power fails too, and takes with it what was not forced to the disk.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.agent import procfs, runtime
from workers.agent.core.names import safe_name
from workers.agent.folders import RECORD, UNITS, End, Folder, Spec, Start
from workers.agent.link import Listener
from workers.protocol import Ended, QueryUnits, StopUnit

START = Start(pid=1, started_ticks=1, boot_id="boot", at=1.0, up_s=1.0)
ROUNDS = 4
units = st.sampled_from(["command/1", "command/2"])
attempts = st.integers(1, 3)
deaths = st.sampled_from(["", "", "", "before", "after"])


class Died(Exception):
    """The agent was killed here."""


class World:
    """What outlives the agent: its processes. `death` is where it dies next, `boots` how often the host came up."""

    def __init__(self) -> None:
        self.boots = 1
        self.started: list[tuple[str, int]] = []
        self.death = ""
        self.died = False
        self.hands: Hands | None = None

    def boot_id(self) -> str:
        return str(self.boots)

    def perhaps_die(self, where: str) -> None:
        if self.death == where:
            self.death, self.died = "", True
        if self.died:
            raise Died(where)


class Hands:
    """In place of the link to the supervisor, and of the supervisor."""

    def __init__(self, world: World, state_dir: Path, batch: Callable[[], AbstractContextManager[None]]) -> None:
        self._world, self._dir, self._batch = world, state_dir, batch
        self._listeners: dict[str, Listener] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        world.hands = self

    async def run(self) -> None:
        await asyncio.Event().wait()

    def remove_ended(self, older_than_s: float) -> None:
        """Nothing is that old."""

    def start(self, name: str, spec: Spec, listener: Listener) -> None:
        self._world.perhaps_die("before")
        folder = Folder(self._dir, name)
        with suppress(FileExistsError):
            folder.create(spec)
            folder.started(START)
            self._world.started.append((spec.unit, spec.attempt))
        self._world.perhaps_die("after")
        self._listeners[name] = listener
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._tell, name)

    def stop(self, name: str, _grace_s: float) -> None:
        self.end(name, End(at=time.time(), signal=15, cancelled=True))

    def end(self, name: str, end: End) -> None:
        folder = Folder(self._dir, name)
        if folder.exists() and folder.end() is None:
            folder.ended(end)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._tell, name)

    def _tell(self, name: str) -> None:
        if name not in self._listeners or self._world.died:
            return
        end = Folder(self._dir, name).end()
        with self._batch():
            if end is None:
                self._listeners[name](START)
            else:
                self._listeners.pop(name)(end)


class Agent(RuleBasedStateMachine):
    """Orders of two units with three attempts each, to a host with one slot."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World()
        self.newest: dict[str, int] = {}
        self.taken: set[tuple[str, int]] = set()
        self.stopped: set[tuple[str, int]] = set()
        self.records_after = ""
        self.patches = ExitStack()
        self.patches.enter_context(mock.patch.object(runtime, "SupervisorLink", partial(Hands, self.world)))
        self.patches.enter_context(mock.patch.object(procfs, "boot_id", self.world.boot_id))
        self.host = TestHost(Path(self.folder.name), slots=1)
        self.host.start()

    @rule(unit=units, attempt=attempts, death=deaths)
    def order(self, unit: str, attempt: int, death: str) -> None:
        """Also one that came before, or is older than another that did."""
        if attempt >= self.newest.get(unit, 0) and (unit, attempt) not in self.stopped:
            self.taken.add((unit, attempt))
            self.newest[unit] = attempt
        with self.dying(death):
            self.host.run("true", unit=unit, attempt=attempt)

    @rule(unit=units, attempt=attempts, earlier=attempts)
    def orders_in_the_wrong_order(self, unit: str, attempt: int, earlier: int) -> None:
        """The first has ended when the other comes."""
        self.order(unit, attempt, "")
        self.end((unit, attempt))
        self.settle()
        self.order(unit, earlier, "")

    @rule(unit=units, attempt=attempts)
    def order_for_another_journal(self, unit: str, attempt: int) -> None:
        self.host.run("true", unit=unit, attempt=attempt, journal="another")
        self.settle()

    @rule(unit=units, attempt=attempts, death=deaths)
    def stop(self, unit: str, attempt: int, death: str) -> None:
        """Also one that never came."""
        self.stopped.add((unit, attempt))
        self.newest[unit] = max(attempt, self.newest.get(unit, 0))
        with self.dying(death):
            self.host.order(StopUnit(unit=unit, attempt=attempt))

    @rule(which=st.integers(0, 8), death=deaths)
    def finish(self, which: int, death: str) -> None:
        """A process ends by itself."""
        if not self.world.started:
            return
        with self.dying(death):
            self.end(self.world.started[which % len(self.world.started)])

    @rule(unit=units, attempt=attempts)
    def ask(self, unit: str, attempt: int) -> None:
        self.host.order(QueryUnits(units=[(unit, attempt)]))

    @rule()
    def die(self) -> None:
        self.come_back()

    @rule(how=st.sampled_from(["gone", "empty"]))
    def the_next_death_is_of_the_host(self, how: str) -> None:
        """The records of what was started are gone then, or empty."""
        self.records_after = how

    @rule(confirms=st.booleans())
    def control_hears_or_not(self, confirms: bool) -> None:
        self.host.control.confirms = confirms

    @invariant()
    def nothing_runs_twice(self) -> None:
        assert len(set(self.world.started)) == len(self.world.started)

    @invariant()
    def no_attempt_begins_after_a_later_one(self) -> None:
        for unit in self.newest:
            begun = [attempt for started, attempt in self.world.started if started == unit]
            assert begun == sorted(begun)

    @invariant()
    def nothing_runs_that_was_not_taken(self) -> None:
        assert set(self.world.started) <= self.taken

    def teardown(self) -> None:
        try:
            self.host.control.confirms = True
            self.host.restart()
            self.run_to_the_end()
        finally:
            self.host.stop()
            self.patches.close()
            self.folder.cleanup()

    def run_to_the_end(self) -> None:
        """What was taken last of each unit has run and its end is known, unless it was stopped."""
        owed = {(unit, self.newest[unit]) for unit, _ in self.taken} & self.taken - self.stopped
        for _ in range(len(self.taken) + 1):
            self.settle()
            for started in list(self.world.started):
                self.end(started)
        self.settle()
        wait_until(lambda: owed <= self.ends_told(), what=f"the ends of {owed}")
        assert owed - self.given_up() <= set(self.world.started)
        self.nothing_runs_twice()

    def ends_told(self) -> set[tuple[str, int]]:
        return {(report.unit, report.attempt) for report in self.host.reports if isinstance(report, Ended)}

    def end(self, started: tuple[str, int]) -> None:
        assert self.world.hands is not None
        unit, attempt = started
        self.world.hands.end(safe_name(f"{unit}.{attempt}"), End(at=time.time(), exit_code=0))

    def settle(self) -> None:
        """Until the agent has done what follows from what it was told."""
        for _ in range(ROUNDS):
            self.host.order(QueryUnits(units=[]))

    def come_back(self) -> None:
        self.host.stop()
        if self.records_after:
            self.world.boots += 1
            for record in Path(self.folder.name, UNITS).glob(f"*{RECORD}"):
                record.write_bytes(b"") if self.records_after == "empty" else record.unlink()
        self.records_after = ""
        self.host.start()
        self.settle()

    def given_up(self) -> set[tuple[str, int]]:
        """What nobody can tell about since the power failed."""
        ends = [report for report in self.host.reports if isinstance(report, Ended) and report.lost]
        assert not ends or self.world.boots > 1
        return {(end.unit, end.attempt) for end in ends}

    def dying(self, where: str) -> "Dying":
        return Dying(self, where)


class Dying(AbstractContextManager[None]):
    """Within it the agent dies where it was said, if it comes there, and is started again."""

    def __init__(self, machine: Agent, where: str) -> None:
        self._machine, self._where = machine, where

    def __enter__(self) -> None:
        self._machine.world.death = self._where

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        machine = self._machine
        if kind is None:
            machine.settle()
        machine.world.death = ""
        if machine.world.died:
            machine.world.died = False
            machine.come_back()
        return kind is None or issubclass(kind, Died)


Agent.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
TestAgent = Agent.TestCase
