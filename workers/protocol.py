"""The messages between the control side and host agents.

Both directions carry one text, a message of this module signed as `workers.core.envelope` says: orders go to Celery
task `workers.agent.receive` on the host's queue, reports to `workers.apply_reports` on `control`. Delivery is at least
once in both directions:

* Control repeats an order until the agent has reported on it; the agent takes each (unit, attempt) once.
* The agent repeats a report until control has said `Applied` up to its number; control applies each by compare-and-set
  on (state, attempt), so a doubled, late or reordered report changes nothing.

A *unit* is what an agent carries out: `command/<id>` runs once, `task/<id>` is kept running. Times are Unix seconds.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, field

RECEIVE_TASK = "workers.agent.receive"
REPORTS_TASK = "workers.apply_reports"
HEARTBEAT_TASK = "workers.apply_heartbeat"
HEARTBEAT_QUEUE = "heartbeats"
ENROL_TASK = "workers.enrol"


class UnreadableEnvelope(ValueError):
    """An envelope that is not of this protocol."""


def kind_of(unit: str) -> str:
    """`command` of `command/7`."""
    return unit.partition("/")[0]


def id_of(unit: str) -> str:
    """`7` of `command/7`."""
    return unit.partition("/")[2]


class Limits(Struct, kw_only=True, frozen=True):
    """What a command may use at most; 0 is no limit. CPU time and open files are of each of its processes."""

    memory_mb: int = 0
    cpu_seconds: int = 0
    open_files: int = 0


class Mount(Struct, kw_only=True, frozen=True):
    """A host's file or folder as a container sees it."""

    source: str
    target: str
    writable: bool = False


class InContainer(Struct, kw_only=True, frozen=True):
    """What of a command is said of the container alone. `pull` is `missing`, `always` or `never`; 0 `cpus` are all.

    Argv follows the `entrypoint`, which is the image's own where it is None; with an empty one argv is all that runs.
    """

    image: str
    pull: str = "missing"
    mounts: list[Mount] = field(default_factory=list)
    network: str = "bridge"
    cpus: float = 0
    entrypoint: list[str] | None = None


class RunCommand(Struct, tag="run", kw_only=True, frozen=True):
    """Run argv once, without a shell. `start_by` (Unix s, 0 for never): refuse it after that time.

    `user` is the name or number of the user to run it as, empty for the agent's own; of those that wait for a slot,
    the one with the highest `priority` starts first. Only an agent with that `journal` takes it (empty for any), as
    another could not know whether it was taken before. With a `container`, argv (empty for the image's own), env, cwd,
    user and the limit of memory are those inside it, and stdin is not used.
    """

    unit: str
    attempt: int
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    stdin: bytes = b""
    timeout_s: float = 0
    grace_s: float = 10
    output_limit_bytes: int = 1_048_576
    start_by: float = 0
    user: str = ""
    limits: Limits = Limits()
    priority: int = 0
    journal: str = ""
    container: InContainer | None = None


class Check(Struct, kw_only=True, frozen=True):
    """One health check; exactly one of http, tcp and script is set, ports already filled in."""

    id: str
    http: str = ""
    tcp: str = ""
    script: str = ""
    interval_s: float = 30
    timeout_s: float = 5


class Container(Struct, kw_only=True, frozen=True):
    """One executable of a task. `executor` is the alias of the agent's executor, `options` its own settings."""

    name: str
    executor: str
    options: dict[str, Any] = field(default_factory=dict)
    setup: list[str] = field(default_factory=list)
    teardown: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)


class KeepTask(Struct, tag="keep", kw_only=True, frozen=True):
    """Keep a service's task running: start it, check it, restart it with back-off, give up after max_attempts."""

    unit: str
    attempt: int
    containers: list[Container]
    ports: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    grace_period_s: float = 60
    max_attempts: int = 10


class StopUnit(Struct, tag="stop", kw_only=True, frozen=True):
    """Stop a unit: TERM to its process group, KILL after the grace. Repeating it is harmless."""

    unit: str
    attempt: int
    grace_s: float = 10
    reason: str = ""


class QueryUnits(Struct, tag="query", kw_only=True, frozen=True):
    """Report again on these units, from the journal; `Unknown` for those never seen."""

    units: list[tuple[str, int]]


class Applied(Struct, tag="applied", kw_only=True, frozen=True):
    """Control has committed all reports of this session up to `seq`; they need not be kept."""

    session: str
    seq: int


class SetDraining(Struct, tag="draining", kw_only=True, frozen=True):
    """Take nothing new (True), or take work again (False)."""

    draining: bool


class Admitted(Struct, tag="admitted", kw_only=True, frozen=True):
    """This session holds the host's name under a fencing token, which grows with each session that does."""

    session: str
    fence: int


class Superseded(Struct, tag="superseded", kw_only=True, frozen=True):
    """A newer session holds the name: this one takes nothing more, and ends."""

    session: str
    reason: str


class Enrolled(Struct, tag="enrolled", kw_only=True, frozen=True):
    """Control has accepted the key of this enrolment request."""

    request: str


class Rejected(Struct, tag="rejected", kw_only=True, frozen=True):
    """Control takes nothing from this agent's key. `request` is the enrolment that failed, empty for other messages."""

    reason: str
    request: str = ""


Order: TypeAlias = (
    RunCommand | KeepTask | StopUnit | QueryUnits | Applied | SetDraining | Admitted | Superseded | Enrolled | Rejected
)


class Orders(Struct, kw_only=True, frozen=True):
    """Control → one agent. An agent refuses orders addressed to another host.

    `fence` is the token of the session they are for: an agent with an older one has lost its name.
    """

    host: str
    sent_at: float
    orders: list[Order]
    fence: int = 0


class Accepted(Struct, tag="accepted", kw_only=True, frozen=True):
    """The unit is in the agent's journal and will be carried out."""

    unit: str
    attempt: int
    at: float


class Refused(Struct, tag="refused", kw_only=True, frozen=True):
    """The unit will not be carried out here; nothing of it ran."""

    unit: str
    attempt: int
    at: float
    reason: str


class Started(Struct, tag="started", kw_only=True, frozen=True):
    """A command's process runs."""

    unit: str
    attempt: int
    at: float
    pid: int


class Output(Struct, tag="output", kw_only=True, frozen=True):
    """A piece of a command's output. `offset` counts bytes of that stream from 0; pieces may come twice."""

    unit: str
    attempt: int
    stream: str
    offset: int
    data: bytes


class Usage(Struct, kw_only=True, frozen=True):
    """What a command used: CPU time and the largest resident memory of its processes that were waited for."""

    cpu_user_s: float
    cpu_system_s: float
    max_rss_kb: int
    wall_s: float


class Ended(Struct, tag="ended", kw_only=True, frozen=True):
    """A command is over. Exactly one of exit_code, signal, start_error and lost tells how.

    `start_error_kind` is `not found`, `not allowed` or `other` where there is a start error. `lost` says why the end
    could not be learnt. Sizes are of the whole output, also what was cut off. `told` is what the engine said of the end
    of a container.
    """

    unit: str
    attempt: int
    at: float
    exit_code: int | None = None
    signal: int | None = None
    start_error: str = ""
    lost: str = ""
    timed_out: bool = False
    cancelled: bool = False
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    start_error_kind: str = ""
    usage: Usage | None = None
    told: str = ""


class TaskState(Struct, tag="task", kw_only=True, frozen=True):
    """What a task is doing: starting, running, failing, stopping, stopped or rejected, and why."""

    unit: str
    attempt: int
    at: float
    state: str
    reason: str = ""
    restarts: int = 0
    pid: int = 0


class Unknown(Struct, tag="unknown", kw_only=True, frozen=True):
    """Answer to a query: the agent never took this (unit, attempt)."""

    unit: str
    attempt: int
    at: float


Report: TypeAlias = Accepted | Refused | Started | Output | Ended | TaskState | Unknown


class Numbered(Struct, frozen=True, array_like=True):
    """A report with its number in the agent's spool; numbers grow within a session."""

    seq: int
    report: Report


class Reports(Struct, kw_only=True, frozen=True):
    """One agent → control."""

    host: str
    session: str
    sent_at: float
    reports: list[Numbered]


class Heartbeat(Struct, kw_only=True, frozen=True):
    """An agent lives. `session` is new at each start of the agent; `worker_id` survives restarts, and so does `journal`
    unless the journal itself is lost.

    `refused` counts the messages that the agent has refused, by reason, since its journal began.
    """

    host: str
    worker_id: str
    session: str
    started_at: float
    sent_at: float
    version: str
    address: str
    labels: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    slots: int = 0
    running: int = 0
    stopping: bool = False
    refused: dict[str, int] = field(default_factory=dict)
    journal: str = ""


class Enrol(Struct, kw_only=True, frozen=True):
    """An agent asks control to accept its key. `token` is a join token's id, `proof` shows that it has the whole."""

    host: str
    worker_id: str
    public_key: bytes
    token: str
    request: str
    proof: str = ""


def encode(envelope: Orders | Reports | Heartbeat | Enrol) -> str:
    """The JSON text that is signed and sent. Bytes become base64."""
    return msgspec.json.encode(envelope).decode()


def decode_orders(text: str) -> Orders:
    """Raises UnreadableEnvelope."""
    return _decode(text, Orders)


def decode_reports(text: str) -> Reports:
    """Raises UnreadableEnvelope."""
    return _decode(text, Reports)


def decode_heartbeat(text: str) -> Heartbeat:
    """Raises UnreadableEnvelope."""
    return _decode(text, Heartbeat)


def decode_enrol(text: str) -> Enrol:
    """Raises UnreadableEnvelope."""
    return _decode(text, Enrol)


def _decode(text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise UnreadableEnvelope(str(error)) from error


def chunks(orders: Sequence[Order], size: int) -> list[list[Order]]:
    """Cuts a long list of orders into envelopes' worth."""
    return [list(orders[start : start + size]) for start in range(0, len(orders), size)]
