"""go-schedule's records in etcd: what they say of our workers and commands, and what a foreign one asks for.

Invariant: a record is a function of the row alone, byte for byte, so any two bridges write the same.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler_project.toolkit.errors import Fault, InvalidDocument

STREAM_BYTES_MAX = 16_384
OWNER_PREFIX = "etcd/"
STATES = {
    "pending": "pending",
    "scheduled": "scheduled",
    "running": "scheduled",
    "done": "done",
    "dead": "dead",
    "cancelled": "dead",
}
READABLE_NAME = re.compile(r"[\x21-\x7e]{1,200}")
GO_ESCAPES = str.maketrans({one: f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"})


@dataclass(frozen=True)
class Names:
    """The keys of the records, all below one prefix."""

    prefix: str = ""

    @property
    def workers(self) -> str:
        """What the keys of all workers begin with."""
        return f"{self.prefix}worker_"

    @property
    def tasks(self) -> str:
        """What the keys of all commands begin with."""
        return f"{self.prefix}task_"

    @property
    def living(self) -> str:
        """What the keys begin with that are there while their worker is connected."""
        return f"{self.prefix}live_"

    @property
    def leader(self) -> str:
        """The key of the one bridge that writes."""
        return f"{self.prefix}scheduler_bridge"


@dataclass(frozen=True)
class CommandView:
    """A command as its record tells it. `id` is the record's; the streams hold at least what a record keeps."""

    id: str
    argv: Sequence[str]
    state: str
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    start_error: str = ""
    timed_out: bool = False
    worker_id: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_bytes: int = 0
    stderr_bytes: int = 0


@dataclass(frozen=True)
class Wish:
    """What a foreign record asks to be run. `worker_id` is empty for any worker."""

    argv: tuple[str, ...]
    worker_id: str = ""


def owner_of(key: str) -> str:
    """The `Command.owner`, and the idempotency key, of the command that the foreign record under `key` became."""
    return OWNER_PREFIX + key


def key_of(command_id: str, owner: str, names: Names) -> str:
    """The key of a command's record: the foreign one that it came from, else one made of its id."""
    if owner.startswith(OWNER_PREFIX + names.tasks):
        return owner.removeprefix(OWNER_PREFIX)
    return names.tasks + command_id


def task_record(command: CommandView) -> bytes:
    """The value of `task_<id>`."""
    return go_json(
        {
            "id": command.id,
            "cmd": command.argv[0] if command.argv else "",
            "parameters": list(command.argv[1:]),
            "state": STATES[command.state],
            "stdout": _text(command.stdout, command.stdout_bytes),
            "stderr": _text(command.stderr, command.stderr_bytes),
            "workerId": command.worker_id,
            "workerError": _error(command),
        }
    )


def worker_record(worker_id: str, address: str, state: str, tasks: int) -> bytes:
    """The value of `worker_<id>`."""
    return go_json({"wn": _without_empty({"id": worker_id, "address": address, "state": state, "ntasks": tasks})})


def left_alone(value: bytes) -> bytes | None:
    """The record of a worker that nobody serves any more: `disconnected`, all else kept. None where it says so."""
    try:
        document = json.loads(value)
    except ValueError:
        return None
    node = document.get("wn") if isinstance(document, dict) else None
    if not isinstance(node, dict) or node.get("state") != "connected":
        return None
    return go_json({**document, "wn": {**node, "state": "disconnected"}})


def wish_in(name: str, value: bytes) -> Wish | None:
    """What the foreign record `task_<name>` asks for; None where it is not a record in the state `pending`.

    Raises InvalidDocument with every fault where it cannot be carried out.
    """
    document = pending_document(value)
    if document is None:
        return None
    faults = [Fault(path, message) for path, message in _faults(name, document)]
    if faults:
        raise InvalidDocument(faults)
    return Wish((document["cmd"], *(document.get("parameters") or ())), document.get("workerId") or "")


def pending_document(value: bytes) -> dict[str, Any] | None:
    """The record as a mapping where it is one in the state `pending`."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and document.get("state") == "pending" else None


def refused(value: bytes, reason: str) -> bytes:
    """The pending record `value` as one that died: all that it said is kept, and the reason is added."""
    return go_json({**(pending_document(value) or {}), "state": "dead", "workerError": reason})


def go_json(value: Mapping[str, Any]) -> bytes:
    """JSON as Go's encoder writes it: no spaces, `<`, `>` and `&` escaped, fields of the record omitted when empty."""
    text = json.dumps(_without_empty(value), ensure_ascii=False, separators=(",", ":"))
    return text.translate(GO_ESCAPES).encode(errors="replace")


def _without_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in value.items() if one not in ("", 0, None, [], ())}


def _text(data: bytes, size: int) -> str:
    kept = data[:STREAM_BYTES_MAX]
    missing = max(size, len(data)) - len(kept)
    mark = f"\n[{missing} more bytes are not in this record]" if missing > 0 and kept else ""
    return kept.decode(errors="replace") + mark


def _error(command: CommandView) -> str:
    match command.state:
        case "cancelled":
            return f"cancelled: {command.reason}" if command.reason else "cancelled"
        case "dead":
            return command.reason or "dead"
        case "done":
            return _how_it_ended(command)
        case _:
            return ""


def _how_it_ended(command: CommandView) -> str:
    """go-schedule has no field for it, and keeps nothing of an end; ours says where it was not a good one."""
    late = "timed out, " if command.timed_out else ""
    if command.start_error:
        return f"not started: {command.start_error}"
    if command.signal is not None:
        return f"{late}signal {command.signal}"
    return f"{late}exit code {command.exit_code}" if command.exit_code else ""


def _faults(name: str, document: Mapping[str, Any]) -> list[tuple[str, str]]:
    faults = []
    if not READABLE_NAME.fullmatch(name):
        faults.append(("", "the key's name is not 1 to 200 printable ASCII characters without spaces"))
    if document.get("id") not in (None, "", name):
        faults.append(("id", f"is not {name}, as the key says"))
    if not isinstance(document.get("cmd"), str) or not document["cmd"]:
        faults.append(("cmd", "is not the name or path of a program"))
    parameters = document.get("parameters")
    if parameters is not None and not _is_list_of_text(parameters):
        faults.append(("parameters", "is not a list of strings"))
    if not isinstance(document.get("workerId") or "", str):
        faults.append(("workerId", "is not a string"))
    if any(not _is_utf8(text) for text in (document.get("cmd"), document.get("workerId"), *_words(parameters))):
        faults.append(("", "holds half a surrogate pair, which no program can be given"))
    return faults


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _words(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_utf8(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
