"""Copies a command's output to ours while it runs and turns its end into our exit code.

Invariant: every byte is written once, in order per stream, to the stream it came from. A new attempt begins anew.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from schedctl import errors
from schedctl.cli import complain
from schedctl.client import Client, address
from schedctl.waiting import wait_for

STREAMS = ("stdout", "stderr")
FINAL = frozenset({"done", "dead", "cancelled"})
SIGNALLED = 128
NOT_FOUND, NOT_EXECUTABLE = 127, 126
NO_SUCH_PROGRAM = re.compile(r"no such file|not found|errno 2\b", re.IGNORECASE)


class Follower:
    """Follows the output of one command, from its first byte; of one attempt, or of the last and those after it."""

    def __init__(
        self, client: Client, command_id: str, streams: Sequence[str] = STREAMS, attempt: int | None = None
    ) -> None:
        self._client = client
        self._id = command_id
        self._wanted = attempt
        self._attempt = ""
        self._offsets = dict.fromkeys(streams, 0)
        self._ended: set[str] = set()

    def to_end(self) -> dict[str, Any]:
        """Writes the output until there is no more to come; says where not all was kept. Returns the ended command."""
        command = wait_for(self._end, f"{self._id} has not ended")
        self.tell_missing(command)
        return command

    def tell_missing(self, command: Mapping[str, Any]) -> None:
        """Says where not all that an ended command wrote was kept."""
        if self._wanted not in (None, command.get("attempt")):
            return
        for stream, offset in self._offsets.items():
            size = int(command.get(f"{stream}_bytes") or 0)
            if size > offset:
                complain(f"{self._id} wrote {size} bytes to {stream}, of which the first {offset} were kept")

    def copy(self) -> None:
        """Writes what is new."""
        for stream in [stream for stream in self._offsets if stream not in self._ended]:
            self._copy_stream(stream)

    def _end(self) -> dict[str, Any] | None:
        self.copy()
        if len(self._ended) < len(self._offsets):
            return None
        command: dict[str, Any] = self._client.get("commands", self._id)
        attempt_is_over = self._wanted is not None and self._wanted < int(command["attempt"])
        return command if command["state"] in FINAL or attempt_is_over else None

    def _copy_stream(self, stream: str) -> None:
        """Writes until nothing more is there; the last piece of an ended command is the empty one."""
        while True:
            offset = self._offsets[stream]
            query = {"stream": stream, "offset": offset, "attempt": self._wanted}
            answer = self._client.call("GET", address(("commands", self._id, "output"), query))
            if self._begins_anew(answer.headers.get("x-attempt", "")):
                continue
            write(stream, answer.body)
            self._offsets[stream] = int(answer.headers.get("x-next-offset", offset + len(answer.body)))
            if not answer.body:
                if answer.headers.get("x-ended") == "true":
                    self._ended.add(stream)
                return

    def _begins_anew(self, attempt: str) -> bool:
        """Whether the answer is of a later attempt than what was written, and so not where to go on."""
        if attempt == self._attempt:
            return False
        before, self._attempt = self._attempt, attempt
        if not any(self._offsets.values()):
            return False
        complain(f"attempt {before} of {self._id} ended; attempt {attempt} begins")
        self._offsets = dict.fromkeys(self._offsets, 0)
        self._ended.clear()
        return True


def write(stream: str, data: bytes) -> None:
    """Bytes as they are, at once."""
    target: BinaryIO = getattr(sys, stream).buffer
    target.write(data)
    target.flush()


def exit_code_of(command: Mapping[str, Any]) -> int:
    """Our exit code for an ended command: its own where it has one, else as a shell would say it."""
    if command.get("timed_out"):
        return errors.TIMED_OUT
    if command["state"] == "cancelled":
        return errors.INTERRUPTED
    if command.get("start_error"):
        why = command.get("start_error_kind") or command["start_error"]
        return NOT_FOUND if NO_SUCH_PROGRAM.search(why) else NOT_EXECUTABLE
    if command.get("signal"):
        return SIGNALLED + int(command["signal"])
    code = command.get("exit_code")
    return errors.FAILED if code is None else int(code)


def explain(command: Mapping[str, Any]) -> None:
    """Says on stderr why a command ended, where its own output cannot tell."""
    name = command["id"]
    if command.get("timed_out"):
        complain(f"{name} was stopped at its time limit")
    elif command.get("start_error"):
        complain(f"{name} did not start: {command['start_error']}")
    elif command["state"] != "done":
        complain(f"{name} is {command['state']}: {command.get('reason') or 'no reason given'}")
