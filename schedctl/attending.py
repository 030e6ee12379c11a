"""Waits for tasks as if they ran here: the output of one, the progress of many, and what Ctrl-C means meanwhile.

Invariant: leaving never stops anything unless a person has said so.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, TypeVar

import click

from schedctl import errors
from schedctl.cli import complain
from schedctl.client import Client
from schedctl.following import FINAL, Follower, exit_code_of, explain
from schedctl.waiting import wait_for

LINE_EVERY_S = 10.0
TOLD_MAX = 10
Value = TypeVar("Value")


class Awaited:
    """Tasks that are waited for: single ones by their ids, and whole arrays. Raises NotFound for what is not there."""

    def __init__(self, client: Client, ids: Iterable[str], arrays: Iterable[str] = ()) -> None:
        self._client = client
        self._ids = dict.fromkeys(ids)
        self._arrays = dict.fromkeys(arrays)
        self._ended: dict[str, dict[str, Any]] = {}
        self._counts: dict[str, dict[str, int]] = {}

    def look(self) -> list[dict[str, Any]] | None:
        """Asks after what had not ended; the tasks when every one has, an array's by index, else None."""
        for one in [one for one in self._ids if one not in self._ended]:
            task = self._client.get("commands", one)
            if task["state"] in FINAL:
                self._ended[one] = task
        for array in [array for array in self._arrays if self._left(array) != 0]:
            self._counts[array] = self._client.get("arrays", array)["counts"]
        if len(self._ended) < len(self._ids) or any(self._left(array) for array in self._arrays):
            return None
        return [*(self._ended[one] for one in self._ids), *(task for array in self._arrays for task in self._of(array))]

    @property
    def is_one(self) -> bool:
        """Whether it is a single task, of which there is no progress to tell."""
        return len(self._ids) == 1 and not self._arrays

    def progress(self) -> str:
        """How far it is, such as `40 of 100 ended, 10 running`."""
        counts = [state for task in self._counts.values() for state in task.items()]
        total = len(self._ids) + sum(count for _, count in counts)
        ended = len(self._ended) + sum(count for state, count in counts if state in FINAL)
        running = sum(count for state, count in counts if state == "running")
        return f"{ended} of {total} ended" + (f", {running} running" if running else "")

    def cancel(self) -> None:
        """Asks for all of them to be stopped."""
        for one in [one for one in self._ids if one not in self._ended]:
            with contextlib.suppress(errors.Conflict):
                self._client.post("commands", one, "cancel")
        for array in self._arrays:
            self._client.post("arrays", array, "cancel")

    def words(self) -> str:
        """How they are named on a command line."""
        return " ".join([*self._ids, *(f"--array {array}" for array in self._arrays)])

    def _left(self, array: str) -> int | None:
        """How many of an array have not ended; None before it was asked after."""
        counts = self._counts.get(array)
        return None if counts is None else sum(count for state, count in counts.items() if state not in FINAL)

    def _of(self, array: str) -> list[dict[str, Any]]:
        return sorted(self._client.pages("commands", array=array), key=lambda task: int(task["array_index"]))


class ProgressLine:
    """One line on stderr: rewritten at a terminal, else said again at most every LINE_EVERY_S."""

    def __init__(self) -> None:
        self._told = ""
        self._told_at = -LINE_EVERY_S
        self._live = sys.stderr.isatty()

    def tell(self, text: str, last: bool = False) -> None:
        due = self._live or last or monotonic() - self._told_at >= LINE_EVERY_S
        if text != self._told and due:
            start = "\r\033[K" if self._live else ""
            click.echo(f"{start}schedctl: {text}", err=True, nl=not self._live)
            self._told, self._told_at = text, monotonic()
        if last and self._live:
            click.echo(err=True)


def attend(client: Client, task_id: str) -> int:
    """Shows a task's output until it ends and gives its exit code. Ctrl-C asks what to do, or detaches."""
    follower = Follower(client, task_id)
    awaited = Awaited(client, [task_id])
    task = uninterrupted(follower.to_end, awaited.cancel, f"tasks logs -f {task_id}")
    if task is None:
        return errors.INTERRUPTED
    explain(task)
    return exit_code_of(task)


def attend_all(awaited: Awaited, timeout_s: float | None = None) -> list[dict[str, Any]] | None:
    """Waits for the end of all, telling how far they are; None when the operator has left them."""
    line = ProgressLine()

    def look() -> list[dict[str, Any]] | None:
        found = awaited.look()
        if not awaited.is_one:
            line.tell(awaited.progress(), last=found is not None)
        return found

    def wait() -> list[dict[str, Any]]:
        return wait_for(look, "not all of them have ended", timeout_s)

    return uninterrupted(wait, awaited.cancel, f"tasks wait {awaited.words()}")


def uninterrupted(wait: Callable[[], Value], cancel: Callable[[], None], come_back: str) -> Value | None:
    """What `wait` gives. Ctrl-C asks whether to cancel and wait on, or to detach: None."""
    while True:
        try:
            return wait()
        except KeyboardInterrupt:
            if not wants_cancel():
                complain(f"detached; it goes on. See it with: schedctl {come_back}")
                return None
            with contextlib.suppress(errors.Conflict):
                cancel()


def wants_cancel() -> bool:
    """Asks a person; without a terminal, or at a second Ctrl-C, the answer is no."""
    if not at_terminal():
        return False
    try:
        answer = click.prompt("\ncancel it or detach?", type=click.Choice(["cancel", "detach"]), err=True)
    except click.Abort:
        return False
    return bool(answer == "cancel")


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def worst_of(tasks: Sequence[dict[str, Any]]) -> int:
    """Explains the first bad ends on stderr; the highest exit code of all, 0 where there is none."""
    bad = [task for task in tasks if exit_code_of(task)]
    for task in bad[:TOLD_MAX]:
        explain(task)
        if len(tasks) > 1 and task["state"] == "done" and task.get("exit_code"):
            complain(f"{task['id']} exited with {task['exit_code']}")
    if len(bad) > TOLD_MAX:
        complain(f"{len(bad)} did not end with 0; the first {TOLD_MAX} are told")
    return max(map(exit_code_of, tasks), default=errors.OK)
