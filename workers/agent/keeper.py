"""Keeps tasks running: carries out what `core.service` decides, and reports each change.

Invariant: a change of a task's progress is in the journal before anything is done about it, and an attempt begins only
when every older attempt of its unit is over.
"""

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import msgspec

from workers.agent import probes
from workers.agent.config import AgentConfig
from workers.agent.core.ports import port_variables
from workers.agent.core.service import (
    HALT,
    REJECTED,
    STARTING,
    Action,
    CheckFailed,
    CheckPassed,
    ContainerEnded,
    ContainerStarted,
    Due,
    Event,
    Halted,
    HaltRun,
    PortsTried,
    Progress,
    Resumed,
    Rules,
    RunSetup,
    SetUp,
    StartContainers,
    StopOrdered,
    TryPorts,
    WakeAt,
    probe_pause_s,
    step,
)
from workers.agent.folders import End, Start
from workers.agent.gate import Forbidden, Gate
from workers.agent.journal import Entry, Journal
from workers.agent.link import SupervisorLink
from workers.agent.process import uptime_s
from workers.agent.runs import Runs
from workers.executors import executor
from workers.executors.base import Recipe, UnusableContainer
from workers.protocol import Accepted, Check, Container, KeepTask, Refused, StopUnit, TaskState

log = logging.getLogger(__name__)

KIND = "task"
REPLACED = "a newer attempt replaces it"
SETUP_LIMIT_S, STOP_LIMIT_S, TEARDOWN_LIMIT_S = 300.0, 20.0, 60.0
RESTART_GRACE_S = 10.0
FIRST_PROBE_AFTER_S = 0.2
TIMER_SLACK_S = 0.001


class Keeper:
    """All tasks of this host. Used from the runtime's thread only."""

    def __init__(self, config: AgentConfig, journal: Journal, link: SupervisorLink) -> None:
        self._config = config
        self._journal = journal
        self._link = link
        self._gate = Gate(config.policy, config.base_env, config.cwd)
        self._kept: dict[tuple[str, int], KeptTask] = {}

    @property
    def running(self) -> int:
        return len(self._kept)

    def resume(self) -> None:
        """Takes up what the journal says is not over."""
        for entry in self._journal.unfinished(KIND):
            order = msgspec.json.decode(entry.order, type=KeepTask)
            self._keep(order, entry)
        for unit in {unit for unit, _ in self._kept}:
            self._begin_oldest(unit)

    def take(self, order: KeepTask, now: float, draining: str) -> None:
        """Takes a task that the journal does not know in this attempt; older attempts are stopped first."""
        self._journal.take(order, order.unit, order.attempt, KIND, STARTING, now)
        for (unit, _), older in list(self._kept.items()):
            if unit == order.unit:
                older.send(StopOrdered(REPLACED))
        if draining:
            report = Refused(unit=order.unit, attempt=order.attempt, at=now, reason=draining)
            self._journal.finish(order.unit, order.attempt, "refused", report, now)
            return
        accepted = Accepted(unit=order.unit, attempt=order.attempt, at=now)
        self._journal.set_state(order.unit, order.attempt, STARTING, accepted)
        self._keep(order, None)
        self._begin_oldest(order.unit)

    def stop(self, order: StopUnit) -> None:
        """Stops a task that is not over."""
        self._journal.set_stop(order.unit, order.attempt, order.grace_s)
        kept = self._kept[order.unit, order.attempt]
        kept.stop_grace_s = order.grace_s
        kept.send(StopOrdered(order.reason))

    def _keep(self, order: KeepTask, entry: Entry | None) -> None:
        try:
            recipes = {container.name: executor(container.executor).recipe(container) for container in order.containers}
        except UnusableContainer as error:
            self._reject(order, str(error))
            return
        forbidden = ""
        scripts: dict[str, list[str]] = {}
        try:
            recipes, scripts = self._gate.recipes(order, recipes), self._gate.scripts(order, recipes)
        except Forbidden as error:
            log.warning("order.forbidden unit=%s attempt=%d %s", order.unit, order.attempt, error)
            forbidden = str(error)
        if forbidden and entry is None:
            self._reject(order, forbidden)
            return
        kept = KeptTask(self._config, self._journal, self._link, order, recipes, scripts, entry, self._over)
        self._kept[order.unit, order.attempt] = kept
        if forbidden:
            kept.give_up(forbidden)

    def _reject(self, order: KeepTask, reason: str) -> None:
        now = time.time()
        report = TaskState(unit=order.unit, attempt=order.attempt, at=now, state=REJECTED, reason=reason)
        self._journal.finish(order.unit, order.attempt, REJECTED, report, now)

    def _over(self, order: KeepTask) -> None:
        self._kept.pop((order.unit, order.attempt), None)
        self._begin_oldest(order.unit)

    def _begin_oldest(self, unit: str) -> None:
        attempts = [attempt for known, attempt in self._kept if known == unit]
        if attempts:
            self._journal.after_commit(self._kept[unit, min(attempts)].begin)


class KeptTask:
    """One attempt of one task. `on_over` is called when it is stopped or rejected."""

    def __init__(
        self,
        config: AgentConfig,
        journal: Journal,
        link: SupervisorLink,
        order: KeepTask,
        recipes: dict[str, Recipe],
        scripts: Mapping[str, list[str]],
        entry: Entry | None,
        on_over: Callable[[KeepTask], None],
    ) -> None:
        self.stop_grace_s = entry.stop_grace_s if entry else None
        self._config = config
        self._journal = journal
        self._order = order
        self._recipes = recipes
        self._scripts = scripts
        self._on_over = on_over
        self._rules = Rules(
            containers=frozenset(recipes),
            checks=frozenset(check.id for check in order.checks),
            grace_period_s=order.grace_period_s,
            max_attempts=order.max_attempts,
        )
        known = entry.progress if entry else b""
        self._progress = msgspec.json.decode(known, type=Progress) if known else Progress()
        self._begun = False
        self._runs = Runs(link, config.state_dir, order.unit, order.attempt, config.service_log_max_bytes)
        self._timer: asyncio.TimerHandle | None = None
        self._work: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Does what the present phase asks for; a second call changes nothing."""
        if not self._begun:
            self._begun = True
            self.send(Resumed())

    def give_up(self, reason: str) -> None:
        """Ends what an earlier agent started and this one may not: without its stop and teardown commands."""
        self._begun = True
        self._recipes = {name: Recipe(recipe.main) for name, recipe in self._recipes.items()}
        halting = self._progress.phase == HALT
        self.send(StopOrdered(reason))
        if halting:
            self.send(Resumed())

    def send(self, event: Event) -> None:
        """Lets the core decide, writes the outcome down, and has it done once that is committed."""
        before = self._progress
        self._progress, actions = step(self._rules, before, event, uptime_s())
        with self._journal.transaction():
            if self._progress != before:
                self._write(before)
            for action in actions:
                self._journal.after_commit(partial(self._do, action))

    def _write(self, before: Progress) -> None:
        order, now, after = self._order, time.time(), self._progress
        self._journal.set_progress(order.unit, order.attempt, msgspec.json.encode(after))
        if told(after) == told(before):
            return
        report = TaskState(
            unit=order.unit,
            attempt=order.attempt,
            at=now,
            state=after.state,
            reason=after.reason,
            restarts=after.restarts,
            pid=after.pid,
        )
        if after.is_over:
            self._journal.finish(order.unit, order.attempt, after.state, report, now)
            self._journal.after_commit(partial(self._on_over, order))
        else:
            self._journal.set_state(order.unit, order.attempt, after.state, report)

    def _do(self, action: Action) -> None:
        match action:
            case TryPorts():
                self.send(PortsTried(taken_ports(list(self._order.ports.values()))))
            case RunSetup():
                self._spawn(self._set_up())
            case StartContainers():
                self._start_containers()
            case HaltRun():
                self._spawn(self._halt(list(self._work)))
            case WakeAt(at):
                self._wake_at(at)

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        pause_s = at - uptime_s() + TIMER_SLACK_S
        self._timer = asyncio.get_running_loop().call_later(max(0.0, pause_s), self.send, Due())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: "asyncio.Task[None]") -> None:
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            context = {"message": f"task {self._order.unit} cannot be kept", "exception": task.exception()}
            task.get_loop().call_exception_handler(context)

    async def _set_up(self) -> None:
        for container in self._order.containers:
            for position, argv in enumerate(self._recipes[container.name].setup):
                name = self._runs.name(self._progress.run, f"{container.name}.setup-{position}")
                end = await self._runs.complete(name, self._spec(container, argv, SETUP_LIMIT_S))
                if not end.succeeded:
                    how = self._runs.told(name, end)
                    self.send(SetUp(f"setup of container {container.name} failed: {argv[-1]!r}: {how}"))
                    return
        self.send(SetUp())

    def _start_containers(self) -> None:
        for container in self._order.containers:
            name = self._runs.name(self._progress.run, f"{container.name}.main")
            spec = self._spec(container, self._recipes[container.name].main, 0)
            self._runs.start(
                name, spec, partial(self._started, container.name), partial(self._ended, container.name, name)
            )
        for position, check in enumerate(self._order.checks):
            self._spawn(self._follow(position, check))

    def _started(self, container: str, start: Start) -> None:
        self.send(ContainerStarted(container, start.pid, start.up_s))

    def _ended(self, container: str, name: str, end: End) -> None:
        self.send(ContainerEnded(container, self._runs.told(name, end)))

    async def _follow(self, position: int, check: Check) -> None:
        await asyncio.sleep(FIRST_PROBE_AFTER_S)
        while True:
            why = await self._probe(position, check)
            self.send(CheckFailed(check.id, why) if why else CheckPassed(check.id))
            await asyncio.sleep(probe_pause_s(self._progress, check.interval_s))

    async def _probe(self, position: int, check: Check) -> str:
        if check.http:
            return await probes.within(check.timeout_s, probes.http(check.http))
        if check.tcp:
            return await probes.within(check.timeout_s, probes.tcp(check.tcp))
        name = self._runs.name(self._progress.run, f"check-{position}-{uuid.uuid4().hex[:12]}")
        spec = self._spec(self._order.containers[0], self._scripts[check.id], check.timeout_s)
        end = await self._runs.complete(name, spec)
        why = "" if end.succeeded else self._runs.told(name, end)
        self._runs.forget_one(name)
        return why

    async def _halt(self, work: "list[asyncio.Task[None]]") -> None:
        """`work` is what was under way when the halt was decided."""
        for task in work:
            task.cancel()
        run = self._progress.run
        for container in reversed(self._order.containers):
            if container.name in self._progress.started:
                await self._complete_all(container, run, "stop", self._recipes[container.name].stop, STOP_LIMIT_S)
        grace_s = RESTART_GRACE_S if self.stop_grace_s is None else self.stop_grace_s
        await self._runs.end_all(run, grace_s)
        for container in reversed(self._order.containers):
            teardown = self._recipes[container.name].teardown
            await self._complete_all(container, run, "teardown", teardown, TEARDOWN_LIMIT_S)
        self._runs.forget(run)
        self.send(Halted())

    async def _complete_all(
        self, container: Container, run: int, part: str, argvs: list[list[str]], limit_s: float
    ) -> None:
        for position, argv in enumerate(argvs):
            name = self._runs.name(run, f"{container.name}.{part}-{position}")
            await self._runs.complete(name, self._spec(container, argv, limit_s))

    def _spec(self, container: Container, argv: list[str], timeout_s: float) -> Any:
        own = {**self._recipes[container.name].env, **container.env}
        env = {**port_variables(self._order.ports), **self._config.base_env, **own}
        return self._runs.spec(argv, env, self._config.cwd, timeout_s)


def told(progress: Progress) -> tuple[str, str, int, int]:
    """What control is told of a task."""
    return progress.state, progress.reason, progress.restarts, progress.pid


def taken_ports(ports: list[int]) -> tuple[int, ...]:
    """Those that another process listens on, by trying."""
    taken = []
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                taken.append(port)
    return tuple(taken)
