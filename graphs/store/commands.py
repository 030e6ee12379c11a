"""Settles components that are commands on hosts, from the rows of commands that have ended."""

from collections.abc import Sequence

from graphs.core.advance import Report
from graphs.core.replies import Reply
from graphs.models import Component
from workers.core.states import COMMAND
from workers.models import Command
from workers.output import ends_of_errors, heads_of

TEXT_BYTES = 4096
REASON_CHARACTERS = 300


def ended_commands(limit: int) -> list[Command]:
    """Commands that are over while their components still run: what a lost signal left behind."""
    awaited = Component.objects.changes().filter(state="running").exclude(handle="").values("handle")
    return list(Command.objects.filter(id__in=awaited, state__in=COMMAND.final).order_by("id")[:limit])


def replies_of(commands: Sequence[Command]) -> list[Reply]:
    """What ended commands mean for their components; commands that are no component's are left out."""
    by_handle = {command.id: command for command in commands}
    rows = Component.objects.changes().filter(handle__in=list(by_handle), state="running")
    found = [(row, by_handle[row.handle]) for row in rows.only("graph_id", "component_id", "attempt", "handle")]
    heads = heads_of([command.id for _, command in found], TEXT_BYTES)
    failed = [command.id for _, command in found if not command.succeeded]
    errors = ends_of_errors(failed, TEXT_BYTES) if failed else {}
    return [
        _reply(row, command, heads.get((command.id, "stdout"), b""), errors.get(command.id, b""))
        for row, command in found
    ]


def _reply(row: Component, command: Command, stdout: bytes, stderr: bytes) -> Reply:
    document = {"exit_code": command.exit_code, "stdout": _text(stdout)}
    outcome = "completed" if command.succeeded else "cancelled" if command.state == "cancelled" else "errored"
    reason = "" if command.succeeded else _reason(command, _text(stderr))
    return Reply(row.graph_id, Report(row.component_id, outcome, reason, row.attempt), document)


def _reason(command: Command, stderr: str) -> str:
    if command.state != "done":
        return command.reason or f"its command is {command.state}"
    how = f"exit code {command.exit_code}"
    if command.start_error:
        how = command.start_error
    elif command.signal is not None:
        how = f"killed by signal {command.signal}"
    if command.timed_out:
        how += " after its timeout"
    told = "" if command.timed_out else command.reason
    last = told or stderr.strip().rpartition("\n")[2][:REASON_CHARACTERS]
    return f"{how}: {last}" if last else how


def _text(data: bytes) -> str:
    """As text that every database keeps."""
    return data.decode(errors="replace").replace("\x00", "\ufffd")
