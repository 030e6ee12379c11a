"""The app's HTTP API: hosts (= workers) and commands.

Invariant: nothing is decided here; requests become calls of `store`, rows become the schemas below.
"""

from collections.abc import Sequence
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
from workers.core.commands import NewCommand, argv_of
from workers.models import Command, Worker
from workers.output import HEAD_BYTES, heads_of, part_of

router = Router()
Cursor = Annotated[str, Query(description="the `next` of the page before")]
Limit = Annotated[int, Query(description="rows per page, at most 1000")]
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
    last_seen_at: datetime
    registered_at: datetime


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
    start_within_s: float = Field(0, description="dead when no worker took it by then; 0 for the default")

    @model_validator(mode="after")
    def one_program(self) -> Self:
        """Exactly one way of saying what to run."""
        if (self.argv is None) == (self.cmd is None):
            raise ValueError("give either argv or cmd")
        return self


class CommandsIn(Schema):
    """Commands to be run, all of them or none."""

    commands: list[CommandIn]


class CommandOut(Schema):
    """A command and what it did."""

    id: str
    argv: list[str]
    state: str = Field(examples=["done"])
    worker: str | None = Field(description="the host that it was given to")
    reason: str = Field(description="why it waits, died or was cancelled")
    exit_code: int | None
    signal: int | None
    start_error: str
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


class CommandList(Schema):
    """Commands in the order in which they were given."""

    items: list[CommandOut]


class CommandPage(CommandList):
    """A part of the commands; `next` is the cursor of the following part, empty at the end."""

    next: str


@router.get("/hosts", response=HostPage, tags=["hosts"])
def list_hosts(request: HttpRequest, cursor: Cursor = "", limit: Limit = PAGE_SIZE_DEFAULT) -> dict[str, Any]:
    """All workers that are registered, connected or not."""
    return page(Worker.objects.all(), cursor, limit, lambda worker: worker, key="name")


@router.get("/hosts/{name}", response=HostOut, tags=["hosts"])
def get_host(request: HttpRequest, name: str) -> Worker:
    """One worker by its name."""
    worker = Worker.objects.filter(name=name).first()
    if worker is None:
        raise NotFound(f"there is no worker {name}")
    return worker


@router.post("/hosts/{name}/drain", response=HostOut, tags=["hosts"])
def drain_host(request: HttpRequest, name: str) -> Worker:
    """Has a worker take nothing new; what runs there goes on."""
    require(request, Role.OPERATOR)
    return store.set_draining(name, True, timezone.now(), _actor(request))


@router.post("/hosts/{name}/undrain", response=HostOut, tags=["hosts"])
def undrain_host(request: HttpRequest, name: str) -> Worker:
    """Has a worker take work again."""
    require(request, Role.OPERATOR)
    return store.set_draining(name, False, timezone.now(), _actor(request))


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
    cursor: Cursor = "",
    limit: Limit = PAGE_SIZE_DEFAULT,
) -> dict[str, Any]:
    """Commands, newest first."""
    rows = Command.objects.select_related("worker").defer("env", "stdin")
    if state:
        rows = rows.filter(state=state)
    if worker:
        rows = rows.filter(worker__name=worker)
    found = page(rows, cursor, limit, lambda command: command)
    return {"items": shown(found["items"]), "next": found["next"]}


@router.post("/commands", response={201: CommandList}, tags=["commands"])
def create_commands(
    request: HttpRequest,
    body: CommandsIn,
    idempotency_key: Annotated[str, Header(description="a repeated request returns the commands of the first")] = "",
) -> Status[dict[str, Any]]:
    """Submits commands, all or none. They are placed on workers at once, or wait with a reason."""
    require(request, Role.OPERATOR)
    key = f"http/{request.user.pk}/{idempotency_key}" if idempotency_key else ""
    wanted = [_wanted(command, f"{key}/{index}" if key else None) for index, command in enumerate(body.commands)]
    commands = store.submit(wanted, timezone.now(), request.user)
    return Status(201, {"items": shown(commands)})


@router.get("/commands/{command_id}", response=CommandOut, tags=["commands"])
def get_command(request: HttpRequest, command_id: str) -> dict[str, Any]:
    """One command."""
    return shown([_command(command_id)])[0]


@router.get("/commands/{command_id}/output", tags=["commands"])
def get_output(
    request: HttpRequest,
    command_id: str,
    stream: Literal["stdout", "stderr"] = "stdout",
    offset: Annotated[int, Query(ge=0, description="how many bytes were read already")] = 0,
) -> HttpResponse:
    """The bytes that a command wrote, from an offset on.

    `X-Next-Offset` is where to go on reading; `X-Ended: true` says that nothing will follow it.
    """
    part = part_of(_command(command_id), stream, offset, timezone.now())
    response = HttpResponse(part.data, content_type="application/octet-stream")
    response["X-Next-Offset"] = str(part.next_offset)
    response["X-Ended"] = "true" if part.ended else "false"
    return response


@router.post("/commands/{command_id}/cancel", response=CommandOut, tags=["commands"])
def cancel_command(request: HttpRequest, command_id: str) -> dict[str, Any]:
    """Asks for a command to be stopped. One that has ended stays as it is."""
    require(request, Role.OPERATOR)
    _command(command_id)
    actor = _actor(request)
    store.cancel([command_id], timezone.now(), actor, f"cancelled by {actor}")
    return shown([_command(command_id)])[0]


def shown(commands: Sequence[Command]) -> list[dict[str, Any]]:
    """Commands as JSON, with the heads of their output read in one query."""
    heads = heads_of([command.id for command in commands])
    return [_shown(command, heads) for command in commands]


def _shown(command: Command, heads: dict[tuple[str, str], bytes]) -> dict[str, Any]:
    plain = {name: getattr(command, name) for name in CommandOut.model_fields if hasattr(command, name)}
    return plain | {
        "worker": command.worker.name if command.worker else None,
        "stdout": heads.get((command.id, "stdout"), b"").decode(errors="replace"),
        "stderr": heads.get((command.id, "stderr"), b"").decode(errors="replace"),
    }


def _wanted(command: CommandIn, idempotency_key: str | None) -> NewCommand:
    return NewCommand(
        argv=command.argv if command.argv is not None else argv_of(command.cmd or "", command.params),
        env=command.env,
        cwd=command.cwd,
        stdin=command.stdin,
        on=command.on,
        timeout_s=command.timeout_s,
        grace_s=command.grace_s,
        start_within_s=command.start_within_s,
        idempotency_key=idempotency_key,
    )


def _command(command_id: str) -> Command:
    command = Command.objects.select_related("worker").filter(id=command_id).first()
    if command is None:
        raise NotFound(f"there is no command {command_id}")
    return command


def _actor(request: HttpRequest) -> str:
    return str(request.user.get_username())
