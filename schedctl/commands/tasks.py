"""`schedctl tasks`: commands that run once on a worker."""

import base64
import contextlib
import functools
import itertools
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from schedctl import errors
from schedctl.cli import Group, complain
from schedctl.commands.options import TIMEOUT, Duration
from schedctl.documents import read_bytes
from schedctl.following import FINAL, Follower, ended_command, exit_code_of, explain
from schedctl.session import Columns, Session, each, fields, with_session
from schedctl.tables import preview
from schedctl.taskfile import read_tasks
from schedctl.waiting import wait_for


def previewed(item: Mapping[str, Any], stream: str) -> str:
    return preview(item.get(stream) or "", int(item.get(f"{stream}_bytes") or 0))


COLUMNS: Columns = {
    **fields("id", "state", "worker"),
    "stdout": functools.partial(previewed, stream="stdout"),
    "stderr": functools.partial(previewed, stream="stderr"),
}
STATES = ("pending", "scheduled", "running", "done", "dead", "cancelled")
LISTED = 1000
WIDE = fields("exit_code", "signal", "created_at", "started_at", "ended_at", "argv", "on", "reason")

tasks = Group(
    "tasks",
    help="Commands run once on a worker.",
    examples=("ls", "run --wait -- echo hello"),
)
ID = click.argument("task_id", metavar="ID")
IDS = click.argument("task_ids", metavar="ID...", nargs=-1, required=True)


@tasks.add("ls", "", "--state pending --worker host-a -o wide", "--all -o json")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--worker", metavar="NAME", help="Only those on this worker.")
@click.option("--limit", type=click.IntRange(min=1), default=LISTED, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="As many as there are.")
@with_session
def list_tasks(session: Session, /, limit: int, everything: bool, **filters: str | None) -> None:
    """List tasks, the newest first."""
    found = session.client.pages("commands", **filters)
    show(session, found if everything else itertools.islice(found, limit))
    if next(found, None) is not None:
        complain(f"these are the newest {limit}; see more with --limit N or --all")


@tasks.add("get", "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55")
@ID
@with_session
def get_task(session: Session, task_id: str) -> None:
    """Show all that is known of one task."""
    session.show_object(session.client.get("commands", task_id))


@tasks.add("schedule", "-f examples/tasks.yml", "-f - < tasks.yml")
@click.option("-f", "--file", required=True, metavar="FILE", help="Tasks in go-schedule's format; - for stdin.")
@with_session
def schedule(session: Session, file: str) -> None:
    """Schedule the tasks of a file (tasks: [{cmd, params}])."""
    argvs = read_tasks(file)
    body = {"commands": [{"argv": argv} for argv in argvs]}
    show(session, session.client.create("commands", body=body)["items"] if argvs else [])


@tasks.add(
    "run",
    "-- date",
    "--wait -- sh -c 'echo hi; exit 3'",
    "--on host-a --env LANG=C --timeout 1m --wait -- df -h",
    "--wait --stdin notes.txt -- wc -l",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--on", "on", default="", metavar="EXPR", help="Where: a worker's name or an expression.")
@click.option("--wait", is_flag=True, help="Show its output while it runs; exit with its exit code.")
@click.option("--timeout", type=Duration(), help="Stop it after so long (30, 1m30s).")
@click.option("--env", multiple=True, metavar="KEY=VALUE", help="A variable for it; may be repeated.")
@click.option("--cwd", default="", metavar="DIR", help="Where on the worker it runs.")
@click.option("--stdin", metavar="FILE", help="What it reads; - for standard input.")
@click.argument("argv", metavar="-- ARGV...", nargs=-1, required=True, type=click.UNPROCESSED)
@with_session
def run(session: Session, /, argv: tuple[str, ...], wait: bool, env: tuple[str, ...], **options: Any) -> int:
    """Run one command on a worker.

    Without --wait its id is printed. With --wait the exit code is the
    command's own, 128 + N for signal N, 127 or 126 when it cannot start,
    124 at its time limit.
    """
    command = {"argv": list(argv), "env": environment(env), **given(options)}
    task = session.client.create("commands", body={"commands": [command]})["items"][0]
    if not wait:
        session.confirm(task, task["id"])
        return errors.OK
    return attend(session, task["id"])


@tasks.add(
    "logs",
    "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55",
    "-f --both 0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55",
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the task has ended.")
@click.option("--stderr", "streams", flag_value="stderr", help="Its stderr instead of its stdout.")
@click.option("--both", "streams", flag_value="stdout stderr", help="Each stream to the one of the same name.")
@ID
@with_session
def logs(session: Session, task_id: str, follow: bool, streams: str | None) -> None:
    """Print the output of a task, whole and as it is."""
    chosen = (streams or "stdout").split()
    session.client.get("commands", task_id)
    follower = Follower(session.client, task_id, chosen)
    if follow:
        follower.to_end()
    else:
        follower.copy()


@tasks.add("wait", "--timeout 5m 0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55")
@TIMEOUT
@IDS
@with_session
def wait(session: Session, task_ids: tuple[str, ...], timeout: float | None) -> int:
    """Wait until tasks have ended.

    One task: its exit code, as with run --wait. Several: 0 when all exited
    with 0, else 1.
    """
    each(task_ids, lambda task_id: session.client.get("commands", task_id))
    ended = wait_for(lambda: all_ended(session, task_ids), "not all of them have ended", timeout)
    for command in ended:
        explain(command)
    show(session, ended)
    codes = [exit_code_of(command) for command in ended]
    return codes[0] if len(codes) == 1 else int(any(codes))


@tasks.add("cancel", "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55")
@IDS
@with_session
def cancel(session: Session, task_ids: tuple[str, ...]) -> None:
    """Cancel tasks; what runs is stopped."""
    for task_id in task_ids:
        task = session.client.post("commands", task_id, "cancel")
        session.confirm(task, f"{task_id} {task['state'] if task['state'] in FINAL else 'cancelling'}")


def show(session: Session, items: Iterable[Any]) -> None:
    session.show_list(items, COLUMNS, WIDE)


def environment(pairs: Iterable[str]) -> dict[str, str]:
    """KEY=VALUE words as a mapping. Raises click.BadParameter."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--env")
        found[key] = value
    return found


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The request's fields for the options that were used."""
    fields = {"on": options["on"], "cwd": options["cwd"], "timeout_s": options["timeout"] or 0}
    if options["stdin"]:
        fields["stdin"] = base64.b64encode(read_bytes(options["stdin"])).decode()
    return {key: value for key, value in fields.items() if value}


def attend(session: Session, task_id: str) -> int:
    """Shows a task's output until it ends and gives its exit code. Ctrl-C asks what to do, or detaches."""
    follower = Follower(session.client, task_id)
    while True:
        try:
            command = follower.to_end()
        except KeyboardInterrupt:
            if not wants_cancel():
                complain(f"detached; it goes on. See it with: schedctl tasks logs -f {task_id}")
                return errors.INTERRUPTED
            with contextlib.suppress(errors.Conflict):
                session.client.post("commands", task_id, "cancel")
            continue
        explain(command)
        return exit_code_of(command)


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


def all_ended(session: Session, task_ids: Iterable[str]) -> list[dict[str, Any]] | None:
    """The tasks when every one has ended, else None."""
    found = [ended_command(session.client, task_id) for task_id in task_ids]
    return None if None in found else [command for command in found if command is not None]
