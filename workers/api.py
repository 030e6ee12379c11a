"""The app's HTTP API: hosts (= workers) and commands.

Invariant: nothing is decided here; requests become calls of `store`, rows become the schemas below.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Header, Query, Router, Schema, Status
from pydantic import Base64Bytes, Field, model_validator

from scheduler_project.toolkit.access import Role, require
from scheduler_project.toolkit.errors import NotFound
from scheduler_project.toolkit.http import PAGE_SIZE_DEFAULT, page
from workers import store
from workers.core.arrays import Wanted
from workers.core.commands import OUTPUT_LIMIT_DEFAULT, NewCommand, argv_of
from workers.models import Command, CommandAttempt, Enrolment, Worker
from workers.output import HEAD_BYTES, heads_of, part_of

router = Router()
Cursor = Annotated[str, Query(description="the `next` of the page before")]
Limit = Annotated[int, Query(description="rows per page, at most 1000")]
PASSED_ON = {field.name for field in fields(NewCommand)} - {"argv", "owner", "idempotency_key", "container"}
HEAD = f"the first {HEAD_BYTES} bytes; the rest by `/commands/{{id}}/output`"


class HostOut(Schema):
    """A worker: the machine that an agent serves."""

    id: str = Field(description="survives restarts of the agent")
    name: str = Field(examples=["host-a"])
    address: str
    state: str = Field(examples=["connected"])
    reason: str = Field(description="why it is in this state")
    draining: bool = Field(description="takes nothing new")
    labels: dict[str, str] = Field(examples=[{"zone": "a"}])
    facts: dict[str, Any] = Field(examples=[{"cores": 8}])
    slots: int
    running: int
    version: str
    counters: dict[str, int] = Field(
        description="how the commands ended that it was given",
        examples=[{"done": 7, "failed": 1, "dead": 0, "cancelled": 0}],
    )
    fence: int = Field(description="fencing token of its agent's session; grows with each")
    last_seen_at: datetime
    registered_at: datetime
    enrolled_at: datetime | None = Field(description="when its present key was accepted; null without a key")
    revoked_at: datetime | None = Field(description="when that key was revoked; null where it counts")
    fingerprint: str = Field(
        description="of its key, as its agent logs it; empty without a key",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    )


class HostPage(Schema):
    """A part of the hosts; `next` is the cursor of the following part, empty at the end."""

    items: list[HostOut]
    next: str


class CommandIn(Schema):
    """A command to be run: `argv`, or go-schedule's `cmd` and `params`."""

    argv: list[str] | None = Field(None, examples=[["sh", "-c", "echo hi; exit 3"]])
    cmd: str | None = Field(None, description="the program, where `argv` is not given")
    params: list[str | int | float | bool | None] = Field([], description="its arguments, taken as text")
    env: dict[str, str] = Field({}, examples=[{"LANG": "C"}])
    cwd: str = ""
    stdin: Base64Bytes = Field(b"", description="given to the program; base64", examples=["aGkK"])
    on: str = Field("", description="a host's name, or terms such as `zone=a and cores>=4`", examples=["zone=a"])
    timeout_s: float = Field(0, description="stopped after that time; 0 for no limit")
    grace_s: float = Field(10, description="between TERM and KILL")
    start_within_s: float = Field(0, description="dead when it has not started by then; 0 for the default")
    output_limit_bytes: int = Field(
        OUTPUT_LIMIT_DEFAULT, description="kept of stdout and of stderr", examples=[1_048_576]
    )
    user: str = Field("", description="whom it runs as; needs an agent that is root", examples=["nobody"])
    memory_mb: int = Field(0, description="memory limit; 0 for none", examples=[512])
    cpu_seconds: int = Field(0, description="CPU time of each of its processes; 0 for no limit", examples=[60])
    open_files: int = Field(0, description="open files of each of its processes; 0 for the usual", examples=[1024])
    priority: int = Field(0, description="from -1000 to 1000; higher goes first", examples=[10])
    retries: int = Field(0, description="how often it is tried again after a bad end or when lost", examples=[3])
    retry_delay_s: float = Field(1, description="before the first retry; doubles with each")
    array: str = Field("", description="once for each index: `0-99`, `0-99:5` or `1,3,7`", examples=["0-99"])
    at_once: int = Field(0, description="how many of the array run at once; 0 for all", examples=[10])

    @model_validator(mode="after")
    def one_program(self) -> Self:
        """Exactly one way of saying what to run."""
        if (self.argv is None) == (self.cmd is None):
            raise ValueError("give either argv or cmd")
        return self


class CommandsIn(Schema):
    """Commands to be run, all of them or none."""

    commands: list[CommandIn]


class UsageOut(Schema):
    """What a command used; null where its host could not measure it."""

    cpu_user_s: float | None = Field(examples=[0.8])
    cpu_system_s: float | None = Field(examples=[0.1])
    max_rss_kb: int | None = Field(description="largest resident memory of one of its processes", examples=[20480])
    wall_s: float | None = Field(examples=[1.5])


class DeadlinesOut(Schema):
    """By when something must have happened; null where nothing is awaited."""

    ack_by: datetime | None = Field(description="its worker acknowledges it by then, or it is sent to it again")
    start_by: datetime | None = Field(description="it has started, or is dead")
    run_by: datetime | None = Field(description="its end is known, or it is dead if its worker is lost")


class AttemptOut(Schema):
    """One attempt of a command and how it went."""

    attempt: int = Field(examples=[1])
    worker: str | None = Field(examples=["host-a"])
    state: str = Field(examples=["done"])
    reason: str
    exit_code: int | None = Field(examples=[1])
    signal: int | None
    start_error: str
    start_error_kind: str
    timed_out: bool
    stdout_bytes: int
    stderr_bytes: int
    usage: UsageOut
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


class AttemptList(Schema):
    """The attempts of a command, first to last."""

    items: list[AttemptOut]


class CommandOut(Schema):
    """A command and what it did."""

    id: str
    argv: list[str]
    state: str = Field(examples=["done"])
    worker: str | None = Field(description="the host that it was given to")
    reason: str = Field(description="why it waits, died, was cancelled or stopped; or what the engine said of its end")
    exit_code: int | None
    signal: int | None
    start_error: str
    start_error_kind: str = Field(description="`not found`, `not allowed` or `other`", examples=["not found"])
    timed_out: bool
    stdout: str = Field(description=HEAD)
    stderr: str = Field(description=HEAD)
    stdout_bytes: int = Field(description="size of the whole output, also of what was not kept")
    stderr_bytes: int
    created_at: datetime
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    on: str
    user: str
    priority: int
    retries: int
    attempt: int = Field(description="the attempt that the other fields tell of; 0 before it was given to a worker")
    not_before: datetime | None = Field(description="a retry waits until then")
    array_id: str | None = Field(description="shared by the commands of one array")
    array_index: int | None = Field(description="also in its environment, as SCHEDULER_ARRAY_INDEX")
    at_once: int
    usage: UsageOut
    deadlines: DeadlinesOut


class CommandList(Schema):
    """Commands in the order in which they were given."""

    items: list[CommandOut]


class CommandPage(CommandList):
    """A part of the commands; `next` is the cursor of the following part, empty at the end."""

    next: str


@router.get("/hosts", response=HostPage, tags=["hosts"])
def list_hosts(request: HttpRequest, cursor: Cursor = "", limit: Limit = PAGE_SIZE_DEFAULT) -> dict[str, Any]:
    """All workers that are registered, connected or not."""
    found = page(Worker.objects.all(), cursor, limit, lambda worker: worker, key="name")
    return {"items": hosts_shown(found["items"]), "next": found["next"]}


@router.get("/hosts/{name}", response=HostOut, tags=["hosts"])
def get_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """One worker by its name."""
    worker = Worker.objects.filter(name=name).first()
    if worker is None:
        raise NotFound(f"there is no worker {name}")
    return hosts_shown([worker])[0]


@router.post("/hosts/{name}/drain", response=HostOut, tags=["hosts"])
def drain_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """Has a worker take nothing new; what runs there goes on."""
    require(request, Role.OPERATOR)
    return hosts_shown([store.set_draining(name, True, timezone.now(), _actor(request))])[0]


@router.post("/hosts/{name}/undrain", response=HostOut, tags=["hosts"])
def undrain_host(request: HttpRequest, name: str) -> dict[str, Any]:
    """Has a worker take work again."""
    require(request, Role.OPERATOR)
    return hosts_shown([store.set_draining(name, False, timezone.now(), _actor(request))])[0]


@router.delete("/hosts/{name}", response={204: None}, tags=["hosts"])
def remove_host(request: HttpRequest, name: str) -> Status[None]:
    """Forgets a disconnected worker. Answers 409 while it is connected."""
    require(request, Role.OPERATOR)
    store.remove(name, timezone.now(), _actor(request))
    return Status(204, None)


@router.get("/commands", response=CommandPage, tags=["commands"])
def list_commands(
    request: HttpRequest,
    state: Annotated[str, Query(description="only those in this state")] = "",
    worker: Annotated[str, Query(description="only those given to this host")] = "",
    array: Annotated[str, Query(description="only those of the array with this id")] = "",
    cursor: Cursor = "",
    limit: Limit = PAGE_SIZE_DEFAULT,
) -> dict[str, Any]:
    """Commands, newest first."""
    rows = Command.objects.select_related("worker").defer("env", "stdin")
    if state:
        rows = rows.filter(state=state)
    if worker:
        rows = rows.filter(worker__name=worker)
    if array:
        rows = rows.filter(array_id=array)
    found = page(rows, cursor, limit, lambda command: command)
    return {"items": shown(found["items"]), "next": found["next"]}


@router.post("/commands", response={201: CommandList}, tags=["commands"])
def create_commands(
    request: HttpRequest,
    body: CommandsIn,
    idempotency_key: Annotated[str, Header(description="a repeated request returns the commands of the first")] = "",
) -> Status[dict[str, Any]]:
    """Submits commands, all or none. They are placed on workers at once, or wait with a reason.

    An array becomes one command for each of its indices; all of them are answered.
    """
    require(request, Role.OPERATOR)
    key = f"http/{request.user.pk}/{idempotency_key}" if idempotency_key else ""
    wanted = [_wanted(command, f"{key}/{index}" if key else None) for index, command in enumerate(body.commands)]
    commands = store.submit_wanted(wanted, timezone.now(), request.user)
    return Status(201, {"items": shown(commands)})


@router.get("/commands/{command_id}", response=CommandOut, tags=["commands"])
def get_command(request: HttpRequest, command_id: str) -> dict[str, Any]:
    """One command."""
    return shown([_command(command_id)])[0]


@router.get("/commands/{command_id}/attempts", response=AttemptList, tags=["commands"])
def list_attempts(request: HttpRequest, command_id: str) -> dict[str, Any]:
    """The attempts of a command that ended badly and were followed by a retry, and the last one."""
    command = _command(command_id)
    earlier = CommandAttempt.objects.filter(command=command).select_related("worker")
    last = [command] if command.attempt > command.ended_attempt else []
    return {"items": [*map(_attempt_shown, earlier), *map(_attempt_shown, last)]}


@router.get("/commands/{command_id}/output", tags=["commands"])
def get_output(
    request: HttpRequest,
    command_id: str,
    stream: Literal["stdout", "stderr"] = "stdout",
    offset: Annotated[int, Query(ge=0, description="how many bytes were read already")] = 0,
    attempt: Annotated[int | None, Query(ge=1, description="of this attempt; the last one without")] = None,
) -> HttpResponse:
    """The bytes that a command wrote, from an offset on.

    `X-Next-Offset` is where to go on reading; `X-Ended: true` says that nothing will follow it.
    `X-Attempt` is the attempt that was read: when it changes, the output begins anew.
    """
    command = _command(command_id)
    part = part_of(command, stream, offset, timezone.now(), attempt)
    response = HttpResponse(part.data, content_type="application/octet-stream")
    response["X-Next-Offset"] = str(part.next_offset)
    response["X-Ended"] = "true" if part.ended else "false"
    response["X-Attempt"] = str(command.attempt if attempt is None else attempt)
    return response


@router.post("/commands/{command_id}/cancel", response=CommandOut, tags=["commands"])
def cancel_command(request: HttpRequest, command_id: str) -> dict[str, Any]:
    """Asks for a command to be stopped. One that has ended stays as it is."""
    require(request, Role.OPERATOR)
    _command(command_id)
    actor = _actor(request)
    store.cancel([command_id], timezone.now(), actor, f"cancelled by {actor}")
    return shown([_command(command_id)])[0]


def hosts_shown(workers: Sequence[Worker]) -> list[dict[str, Any]]:
    """Workers as JSON, with the keys of their names read in one query."""
    keys = Enrolment.objects.in_bulk([worker.name for worker in workers])
    return [_host_shown(worker, keys.get(worker.name)) for worker in workers]


def _host_shown(worker: Worker, key: Enrolment | None) -> dict[str, Any]:
    plain = {name: getattr(worker, name) for name in HostOut.model_fields if hasattr(worker, name)}
    if key is None:
        return plain | {"enrolled_at": None, "revoked_at": None, "fingerprint": ""}
    return plain | {"enrolled_at": key.enrolled_at, "revoked_at": key.revoked_at, "fingerprint": key.fingerprint}


def shown(commands: Sequence[Command]) -> list[dict[str, Any]]:
    """Commands as JSON, with the heads of their output read in one query."""
    heads = heads_of([command.id for command in commands])
    return [_shown(command, heads) for command in commands]


def _shown(command: Command, heads: dict[tuple[str, str], bytes]) -> dict[str, Any]:
    return _plain(command, CommandOut) | {
        "worker": command.worker.name if command.worker else None,
        "usage": _plain(command, UsageOut),
        "deadlines": _plain(command, DeadlinesOut),
        "stdout": heads.get((command.id, "stdout"), b"").decode(errors="replace"),
        "stderr": heads.get((command.id, "stderr"), b"").decode(errors="replace"),
    }


def _attempt_shown(attempt: Command | CommandAttempt) -> dict[str, Any]:
    worker = attempt.worker.name if attempt.worker else None
    return _plain(attempt, AttemptOut) | {"worker": worker, "usage": _plain(attempt, UsageOut)}


def _plain(row: Command | CommandAttempt, schema: type[Schema]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in schema.model_fields if hasattr(row, name)}


def _wanted(command: CommandIn, idempotency_key: str | None) -> Wanted:
    plain = {name: getattr(command, name) for name in PASSED_ON}
    argv = command.argv if command.argv is not None else argv_of(command.cmd or "", command.params)
    new = NewCommand(argv=argv, idempotency_key=idempotency_key, **plain)
    return Wanted(new, command.array, command.at_once)


def _command(command_id: str) -> Command:
    command = Command.objects.select_related("worker").filter(id=command_id).first()
    if command is None:
        raise NotFound(f"there is no command {command_id}")
    return command


def _actor(request: HttpRequest) -> str:
    return str(request.user.get_username())
