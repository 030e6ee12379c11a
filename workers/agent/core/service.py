"""How a task is kept running: what each event means, decided purely.

`step` takes a task's progress and an event and returns the new progress and what is to be done. Invariants: a run is
halted, and known to be gone, before the next one begins; `stopped` and `rejected` are never left.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

STARTING, RUNNING, FAILING = "starting", "running", "failing"
STOPPING, STOPPED, REJECTED = "stopping", "stopped", "rejected"
PORTS, SETUP, UP, HALT, PAUSE, OVER = "ports", "setup", "up", "halt", "pause", "over"

FAILURES_BEFORE_RESTART = 3
PAUSE_MIN_S, PAUSE_MAX_S = 0.5, 30.0
STABLE_AFTER_S = 10.0
PROBE_WHILE_STARTING_S = 0.5


@dataclass(frozen=True)
class Rules:
    """What was ordered, as far as it decides: names of containers, ids of checks."""

    containers: frozenset[str]
    checks: frozenset[str]
    grace_period_s: float
    max_attempts: int


@dataclass(frozen=True)
class Progress:
    """Where a task is. `phase` is what is being done, `state` what is told; times are seconds since boot.

    `run` numbers the starts from 1; `failures` counts the runs that failed since the task was last healthy.
    """

    phase: str = PORTS
    state: str = STARTING
    reason: str = ""
    run: int = 1
    failures: int = 0
    healthy: bool = False
    passed: frozenset[str] = frozenset()
    missed: Mapping[str, int] = field(default_factory=dict)
    started: frozenset[str] = frozenset()
    pid: int = 0
    up_at: float = 0
    due_at: float = 0
    then: str = ""

    @property
    def restarts(self) -> int:
        return self.run - 1

    @property
    def is_over(self) -> bool:
        return self.phase == OVER


@dataclass(frozen=True)
class PortsTried:
    """`taken` names the ports that are not free."""

    taken: tuple[int, ...] = ()


@dataclass(frozen=True)
class SetUp:
    """The setup commands ran; `fault` says which failed and how."""

    fault: str = ""


@dataclass(frozen=True)
class ContainerStarted:
    """A container's process runs since `up_s`; it may be told twice."""

    name: str
    pid: int
    up_s: float


@dataclass(frozen=True)
class ContainerEnded:
    """A container's process is gone."""

    name: str
    how: str


@dataclass(frozen=True)
class CheckPassed:
    """A check was asked and is content. Answers count once all containers have started."""

    id: str


@dataclass(frozen=True)
class CheckFailed:
    """A check was asked and is not content."""

    id: str
    why: str


@dataclass(frozen=True)
class StopOrdered:
    """Control wants it stopped."""

    reason: str


@dataclass(frozen=True)
class Halted:
    """Nothing of the run is left."""


@dataclass(frozen=True)
class Due:
    """The moment that `WakeAt` named has come."""


@dataclass(frozen=True)
class Resumed:
    """The agent came back, perhaps after a reboot: what was being done is asked for again."""


Event: TypeAlias = (
    PortsTried
    | SetUp
    | ContainerStarted
    | ContainerEnded
    | CheckPassed
    | CheckFailed
    | StopOrdered
    | Halted
    | Due
    | Resumed
)


@dataclass(frozen=True)
class TryPorts:
    """Find out which of the task's ports are taken."""


@dataclass(frozen=True)
class RunSetup:
    """Run the setup commands, in order."""


@dataclass(frozen=True)
class StartContainers:
    """Start those of this run that were not started, and follow them and their checks."""


@dataclass(frozen=True)
class HaltRun:
    """Stop checks and setup, run the stop commands, end every process, run the teardown."""


@dataclass(frozen=True)
class WakeAt:
    """Send `Due` at this time; a later one replaces it."""

    at: float


Action: TypeAlias = TryPorts | RunSetup | StartContainers | HaltRun | WakeAt
Step: TypeAlias = tuple[Progress, tuple[Action, ...]]


def step(rules: Rules, task: Progress, event: Event, now: float) -> Step:
    """What an event means; events that no longer concern the task change nothing."""
    if task.is_over:
        return task, ()
    match event:
        case Resumed():
            return _resumed(task, now)
        case StopOrdered(reason):
            return _stop(task, reason)
        case Halted() if task.phase == HALT:
            return _halted(task, now)
        case Due() if task.phase == PAUSE:
            return _next_run(task) if now >= task.due_at else (task, (WakeAt(task.due_at),))
        case PortsTried(taken) if task.phase == PORTS:
            return _ports_tried(task, taken, rules)
        case SetUp(fault) if task.phase == SETUP:
            return _fail(task, fault, rules) if fault else (replace(task, phase=UP), (StartContainers(),))
        case _ if task.phase == UP:
            return _while_up(rules, task, event, now)
    return task, ()


def probe_pause_s(task: Progress, interval_s: float) -> float:
    """How long until a check is asked again: soon while the task is not yet healthy."""
    return interval_s if task.healthy else min(interval_s, PROBE_WHILE_STARTING_S)


def pause_s(failures: int) -> float:
    """How long to wait before the next run."""
    return float(min(PAUSE_MAX_S, PAUSE_MIN_S * 2 ** min(max(failures - 1, 0), 10)))


def _resumed(task: Progress, now: float) -> Step:
    """Time since boot may have begun anew, so a pause is at most its longest."""
    due_at = min(task.due_at, now + PAUSE_MAX_S)
    actions: dict[str, Action] = {
        PORTS: TryPorts(),
        SETUP: RunSetup(),
        UP: StartContainers(),
        HALT: HaltRun(),
        PAUSE: WakeAt(due_at),
    }
    return replace(task, due_at=due_at), (actions[task.phase],)


def _stop(task: Progress, reason: str) -> Step:
    if task.phase in (PORTS, PAUSE):
        return replace(task, phase=OVER, state=STOPPED, reason=reason), ()
    stopping = replace(task, phase=HALT, state=STOPPING, reason=reason, then=STOPPED)
    return stopping, () if task.phase == HALT else (HaltRun(),)


def _halted(task: Progress, now: float) -> Step:
    if task.then in (STOPPED, REJECTED):
        return replace(task, phase=OVER, state=task.then, pid=0), ()
    due_at = now + pause_s(task.failures)
    return replace(task, phase=PAUSE, due_at=due_at), (WakeAt(due_at),)


def _next_run(task: Progress) -> Step:
    fresh = Progress(run=task.run + 1, state=task.state, reason=task.reason, failures=task.failures)
    return fresh, (TryPorts(),)


def _ports_tried(task: Progress, taken: tuple[int, ...], rules: Rules) -> Step:
    """A port that is taken before anything ran will not become free by waiting; later it may be our own, still busy."""
    if not taken:
        return replace(task, phase=SETUP), (RunSetup(),)
    reason = f"port not available: {', '.join(str(port) for port in taken)}"
    if task.run == 1:
        return replace(task, phase=OVER, state=REJECTED, reason=reason), ()
    return _fail(task, reason, rules)


def _fail(task: Progress, reason: str, rules: Rules) -> Step:
    failures = task.failures + 1
    halting = replace(task, phase=HALT, failures=failures, state=_ill(task), reason=reason, then="")
    if failures >= rules.max_attempts:
        halting = replace(halting, reason=f"too many attempts: {reason}", then=REJECTED)
    return halting, (HaltRun(),)


def _ill(task: Progress) -> str:
    """A task that never worked is still starting."""
    return STARTING if task.state == STARTING else FAILING


def _while_up(rules: Rules, task: Progress, event: Event, now: float) -> Step:
    match event:
        case ContainerStarted():
            return _container_started(rules, task, event)
        case ContainerEnded(name, how):
            return _fail(task, f"the process of container {name} ended: {how}", rules)
        case CheckPassed() | CheckFailed() if task.started != rules.containers:
            return task, ()
        case CheckPassed(check):
            return _passed(rules, task, check)
        case CheckFailed(check, why):
            return _missed(rules, task, check, why, now)
        case Due() if not task.healthy and now >= task.up_at + rules.grace_period_s:
            reason = f"not healthy within {rules.grace_period_s:g} s"
            return _fail(task, f"{reason}: {task.reason}" if task.reason else reason, rules)
        case Due() if not rules.checks and now >= task.up_at + STABLE_AFTER_S:
            return replace(task, failures=0), ()
    return task, ()


def _container_started(rules: Rules, task: Progress, event: ContainerStarted) -> Step:
    """The pid and the time that count are those of the container that was first."""
    if not task.started:
        task = replace(task, pid=event.pid, up_at=event.up_s)
    started = replace(task, started=task.started | {event.name})
    if started.started != rules.containers:
        return started, ()
    if not rules.checks:
        started = replace(started, healthy=True, state=RUNNING, reason="")
    return started, _grace(rules, started)


def _grace(rules: Rules, task: Progress) -> tuple[Action, ...]:
    """A task without checks is believed stable after a while; one with checks must be healthy in time."""
    if not rules.checks:
        return (WakeAt(task.up_at + STABLE_AFTER_S),)
    return () if task.healthy else (WakeAt(task.up_at + rules.grace_period_s),)


def _passed(rules: Rules, task: Progress, check: str) -> Step:
    passed = replace(task, passed=task.passed | {check}, missed={**task.missed, check: 0})
    if passed.passed != rules.checks:
        return passed, ()
    return replace(passed, healthy=True, state=RUNNING, reason="", failures=0), ()


def _missed(rules: Rules, task: Progress, check: str, why: str, now: float) -> Step:
    reason = f"check {check}: {why}"
    count = task.missed.get(check, 0) + 1
    missed = replace(task, reason=reason, passed=task.passed - {check}, missed={**task.missed, check: count})
    if not task.healthy:
        late = now >= task.up_at + rules.grace_period_s
        reason = f"not healthy within {rules.grace_period_s:g} s: {reason}"
        return _fail(missed, reason, rules) if late else (missed, ())
    if count >= FAILURES_BEFORE_RESTART:
        return _fail(missed, reason, rules)
    return replace(missed, state=FAILING), ()
