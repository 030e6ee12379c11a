"""Settles components that are commands on hosts, from the rows of commands that have ended."""

from collections.abc import Sequence

from django.db.models import BinaryField, F
from django.db.models.functions import Substr

from graphs.core.advance import Report
from graphs.core.replies import Reply
from graphs.models import Component
from workers.core.states import COMMAND
from workers.models import Command, CommandOutput
from workers.output import joined

TEXT_BYTES = 4096


def ended_commands(limit: int) -> list[Command]:
    """Commands that are over while their components still run: what a lost signal left behind."""
    awaited = Component.objects.changes().filter(state="running").exclude(handle="").values("handle")
    return list(Command.objects.filter(id__in=awaited, state__in=COMMAND.final).order_by("id")[:limit])


def replies_of(commands: Sequence[Command]) -> list[Reply]:
    """What ended commands mean for their components; commands that are no component's are left out."""
    by_handle = {command.id: command for command in commands}
    rows = Component.objects.changes().filter(handle__in=list(by_handle), state="running")
    found = [(row, by_handle[row.handle]) for row in rows.only("graph_id", "component_id", "attempt", "handle")]
    texts = _texts([command.id for _, command in found])
    return [_reply(row, command, texts) for row, command in found]


def _reply(row: Component, command: Command, texts: dict[tuple[str, str], str]) -> Reply:
    stdout, stderr = (texts.get((command.id, stream), "") for stream in ("stdout", "stderr"))
    document = {"exit_code": command.exit_code, "stdout": stdout}
    outcome = "completed" if command.succeeded else "cancelled" if command.state == "cancelled" else "errored"
    reason = "" if command.succeeded else _reason(command, stderr)
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
    last = stderr.strip().rpartition("\n")[2][:300]
    return f"{how}: {last}" if last else how


def _texts(command_ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """The first bytes that commands wrote, as text that every database keeps, in one query."""
    rows = (
        CommandOutput.objects.filter(command_id__in=command_ids, attempt=F("command__attempt"), offset__lt=TEXT_BYTES)
        .order_by("command_id", "stream", "offset")
        .annotate(head=Substr("data", 1, TEXT_BYTES, output_field=BinaryField()))
        .values_list("command_id", "stream", "offset", "head")
    )
    pieces: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
    for command_id, stream, offset, head in rows:
        pieces.setdefault((command_id, stream), []).append((offset, bytes(head)))
    return {
        key: joined(found, 0)[:TEXT_BYTES].decode(errors="replace").replace("\x00", "\ufffd")
        for key, found in pieces.items()
    }
