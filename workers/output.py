"""Reads what commands wrote in their last attempt, or an earlier one: whole, from an offset, the first bytes of many.

Invariant: bytes come in the order of their offsets, each once, and never beyond a piece that has not arrived yet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import BinaryField, F
from django.db.models.functions import Least, Length, Substr

from workers.models import Command, CommandOutput

HEAD_BYTES = 20
PIECES_PER_READ = 64
MISSING_PIECES_WAIT_S = 30
STREAMS = ("stdout", "stderr")


def output_of(command_id: str, stream: str, attempt: int | None = None) -> bytes:
    """All that was kept of `stdout` or `stderr`; of the last attempt by default."""
    chosen = F("command__attempt") if attempt is None else attempt
    pieces = CommandOutput.objects.filter(command_id=command_id, attempt=chosen, stream=stream).order_by("offset")
    return joined(pieces.values_list("offset", "data").iterator(), 0)


def tail_of(command_id: str, stream: str, size: int) -> bytes:
    """The last bytes that have arrived of the last attempt, at most `size`."""
    pieces = CommandOutput.objects.filter(command_id=command_id, attempt=F("command__attempt"), stream=stream)
    found: list[bytes] = []
    for data in pieces.order_by("-offset").values_list("data", flat=True)[:PIECES_PER_READ]:
        found.insert(0, bytes(data))
        if sum(map(len, found)) >= size:
            break
    return b"".join(found)[-size:]


@dataclass(frozen=True)
class Part:
    """A part of a stream. `ended`: nothing will follow `next_offset`."""

    data: bytes
    next_offset: int
    ended: bool


def part_of(command: Command, stream: str, offset: int, now: datetime, attempt: int | None = None) -> Part:
    """What has arrived after the first `offset` bytes, a bounded part of it; of the last attempt by default."""
    chosen = command.attempt if attempt is None else attempt
    all_pieces = CommandOutput.objects.filter(command_id=command.id, attempt=chosen, stream=stream)
    before = all_pieces.filter(offset__lte=offset).order_by("-offset").values_list("offset").first()
    pieces = all_pieces.filter(offset__gte=before[0] if before else offset).order_by("offset")
    data = joined(pieces.values_list("offset", "data")[:PIECES_PER_READ], offset)
    over = chosen < command.attempt or _is_over(command, stream, offset, now)
    return Part(data, offset + len(data), not data and over)


def _is_over(command: Command, stream: str, offset: int, now: datetime) -> bool:
    """An end may be reported before the last pieces; those that are missing are waited for, though not for ever."""
    if command.ended_at is None:
        return False
    size = command.stdout_bytes if stream == "stdout" else command.stderr_bytes
    complete = offset >= min(size, command.output_limit_bytes)
    return complete or now - command.ended_at > timedelta(seconds=MISSING_PIECES_WAIT_S)


def heads_of(command_ids: Sequence[str], size: int = HEAD_BYTES) -> dict[tuple[str, str], bytes]:
    """The first bytes by (command, stream), for lists, in one query."""
    rows = (
        CommandOutput.objects.filter(command_id__in=command_ids, attempt=F("command__attempt"), offset__lt=size)
        .order_by("command_id", "stream", "offset")
        .annotate(head=Substr("data", 1, size, output_field=BinaryField()))
        .values_list("command_id", "stream", "offset", "head")
    )
    pieces: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
    for command_id, stream, offset, head in rows:
        pieces.setdefault((command_id, stream), []).append((offset, bytes(head)))
    return {key: joined(found, 0)[:size] for key, found in pieces.items()}


def ends_of_errors(command_ids: Sequence[str], size: int) -> dict[str, bytes]:
    """The last bytes, at least `size` where there are so many, of what was kept of each one's stderr, in one query."""
    kept = Least(F("command__stderr_bytes"), F("command__output_limit_bytes"))
    rows = (
        CommandOutput.objects.filter(command_id__in=command_ids, attempt=F("command__attempt"), stream="stderr")
        .filter(offset__gt=kept - size - Length("data"))
        .order_by("command_id", "offset")
        .values_list("command_id", "offset", "data")
    )
    pieces: dict[str, list[tuple[int, bytes]]] = {}
    for command_id, offset, data in rows:
        pieces.setdefault(command_id, []).append((offset, bytes(data)))
    return {command_id: joined(found, found[0][0]) for command_id, found in pieces.items()}


def joined(pieces: Iterable[tuple[int, bytes | memoryview]], start: int) -> bytes:
    """The bytes from `start` up to the first gap; `pieces` are in the order of their offsets and may overlap."""
    parts: list[bytes] = []
    position = start
    for offset, data in pieces:
        if offset > position:
            break
        part = bytes(data)[position - offset :]
        parts.append(part)
        position += len(part)
    return b"".join(parts)
