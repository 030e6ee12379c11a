"""Reads the database for the records of etcd: what they should hold now.

Invariant: nothing here writes, and a call costs a constant number of queries whatever it is asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from workers.core.legacy import (
    OWNER_PREFIX,
    STREAM_BYTES_MAX,
    CommandView,
    Names,
    key_of,
    owner_of,
    task_record,
    worker_record,
)
from workers.core.states import COMMAND
from workers.models import Command, ForgottenCommand, Worker
from workers.output import MISSING_PIECES_WAIT_S, heads_of

ID_LENGTH = 36
NOT_SHOWN = ("env", "stdin", "cwd")


@dataclass(frozen=True)
class TaskRecord:
    """The record that a command should have. `awaits_output`: pieces of it are still to come, and so another record."""

    key: str
    value: bytes
    command_id: str
    awaits_output: bool = False


@dataclass(frozen=True)
class WorkerRecord:
    """The record that a worker should have."""

    value: bytes
    connected: bool


def of_commands(command_ids: Iterable[str], names: Names, now: datetime) -> list[TaskRecord]:
    """The records of these commands; those that do not exist are left out."""
    return _records(Q(id__in=list(command_ids)), names, now)


def under_keys(keys: Iterable[str], names: Names, now: datetime) -> dict[str, TaskRecord]:
    """By key, the records of the commands that have one of these keys."""
    readable = [key for key in keys if key.isascii() and "\0" not in key]
    ids = [name for key in readable if len(name := key.removeprefix(names.tasks)) == ID_LENGTH]
    found = _records(Q(id__in=ids) | Q(owner__in=[owner_of(key) for key in readable]), names, now)
    wanted = set(readable)
    return {record.key: record for record in found if record.key in wanted}


def ids_after(command_id: str, limit: int) -> list[str]:
    """The ids of the next commands, in the order of their ids."""
    rows = Command.objects.filter(id__gt=command_id).order_by("id").values_list("id", flat=True)
    return list(rows[:limit])


def keys_of(command_ids: Sequence[str], names: Names) -> dict[str, str]:
    """The key of each command's record, by its id."""
    foreign = Command.objects.filter(id__in=command_ids, owner__startswith=OWNER_PREFIX)
    owners = dict(foreign.values_list("id", "owner"))
    return {command_id: key_of(command_id, owners.get(command_id, ""), names) for command_id in command_ids}


def forgotten(names: Names, limit: int, now: datetime) -> dict[str, str]:
    """By their ids, the keys of commands that are forgotten here; empty for a key that a newer command has."""
    rows = ForgottenCommand.objects.order_by("id").values_list("id", "owner")[:limit]
    keys = {command_id: key_of(command_id, owner, names) for command_id, owner in rows}
    taken = under_keys(keys.values(), names, now)
    return {command_id: "" if key in taken else key for command_id, key in keys.items()}


def of_workers() -> dict[str, WorkerRecord]:
    """The records of all workers, by worker id."""
    rows = Worker.objects.order_by().values_list("id", "address", "state", "running")
    return {
        worker_id: WorkerRecord(worker_record(worker_id, address, state, running), state == "connected")
        for worker_id, address, state, running in rows
    }


def name_of_worker(worker_id: str) -> str | None:
    """The name of the worker with this id; None where there is none."""
    return Worker.objects.filter(id=worker_id).values_list("name", flat=True).first()


def _records(condition: Q, names: Names, now: datetime) -> list[TaskRecord]:
    commands = list(Command.objects.filter(condition).defer(*NOT_SHOWN))
    ended = [command for command in commands if command.state in COMMAND.final]
    written = [command.id for command in ended if command.stdout_bytes or command.stderr_bytes]
    heads = heads_of(written, STREAM_BYTES_MAX) if written else {}
    return [_record(command, heads, names, now) for command in commands]


def _record(command: Command, heads: Mapping[tuple[str, str], bytes], names: Names, now: datetime) -> TaskRecord:
    key = key_of(command.id, command.owner, names)
    stdout, stderr = (heads.get((command.id, stream), b"") for stream in ("stdout", "stderr"))
    view = CommandView(
        id=key.removeprefix(names.tasks),
        argv=command.argv,
        state=command.state,
        reason=command.reason,
        exit_code=command.exit_code,
        signal=command.signal,
        start_error=command.start_error,
        timed_out=command.timed_out,
        worker_id=command.worker_id or "",
        stdout=stdout,
        stderr=stderr,
        stdout_bytes=command.stdout_bytes,
        stderr_bytes=command.stderr_bytes,
    )
    awaits = _awaits(command, len(stdout), command.stdout_bytes, now)
    awaits = awaits or _awaits(command, len(stderr), command.stderr_bytes, now)
    return TaskRecord(key, task_record(view), command.id, awaits)


def _awaits(command: Command, found: int, size: int, now: datetime) -> bool:
    if command.state not in COMMAND.final or command.ended_at is None:
        return False
    late = now - command.ended_at > timedelta(seconds=MISSING_PIECES_WAIT_S)
    return not late and found < min(size, STREAM_BYTES_MAX, command.output_limit_bytes)
