"""`schedctl tasks`: commands that run once on a worker."""

import base64
import functools
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import click

from schedctl import errors
from schedctl.attending import Awaited, attend, attend_all, worst_of
from schedctl.cli import Group, complain
from schedctl.commands.options import TIMEOUT
from schedctl.documents import read_bytes
from schedctl.following import FINAL, Follower
from schedctl.session import Columns, Session, fields, with_session
from schedctl.tables import preview
from schedctl.taskfields import given, task_options
from schedctl.taskfile import read_tasks


def previewed(item: Mapping[str, Any], stream: str) -> str:
    return preview(item.get(stream) or "", int(item.get(f"{stream}_bytes") or 0))


COLUMNS: Columns = {
    **fields("id", "state", "worker"),
    "stdout": functools.partial(previewed, stream="stdout"),
    "stderr": functools.partial(previewed, stream="stderr"),
}
STATES = ("pending", "scheduled", "running", "done", "dead", "cancelled")
LISTED = 1000
MORE = ("exit_code", "signal", "attempt", "array_index", "created_at", "started_at", "ended_at", "argv", "on", "reason")
WIDE = fields(*MORE)

tasks = Group(
    "tasks",
    help="Commands run once on a worker.",
    examples=("ls", "run --wait -- echo hello"),
)
ID = click.argument("task_id", metavar="ID")
IDS = click.argument("task_ids", metavar="[ID...]", nargs=-1)
ARRAYS = click.option("--array", "arrays", multiple=True, metavar="ID", help="All tasks of an array; may be repeated.")


@tasks.add("ls", "", "--state pending --worker host-a -o wide", "--all -o json")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--worker", metavar="NAME", help="Only those on this worker.")
@click.option("--array", metavar="ID", help="Only those of this array.")
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


@tasks.add("schedule", "-f examples/tasks.yml", "-f - < tasks.yml", "-f tasks.yml --on zone=a --wait")
@click.option("-f", "--file", required=True, metavar="FILE", help="Tasks in go-schedule's format; - for stdin.")
@click.option("--wait", is_flag=True, help="Wait for the end of all; exit with the worst exit code.")
@task_options
@with_session
def schedule(session: Session, /, file: str, wait: bool, **options: Any) -> int:
    """Schedule the tasks of a file (tasks: [{cmd, params}]).

    Options are for the tasks of the file that do not say it themselves.
    """
    found = read_tasks(file)
    for note in found.notes:
        complain(f"warning: {note}")
    wanted = [{**given(options), **task} for task in found.tasks]
    scheduled = session.client.create("commands", body={"commands": wanted})["items"] if wanted else []
    if not wait or not scheduled:
        show(session, scheduled)
        return errors.OK
    return wait_for_all(session, scheduled)


@tasks.add(
    "run",
    "-- date",
    "--wait -- sh -c 'echo hi; exit 3'",
    "--on zone=a --env LANG=C --timeout 1m --wait -- df -h",
    "--wait --stdin notes.txt -- wc -l",
    "--array 0-99 --at-once 10 --retries 2 --wait -- sh -c 'echo $SCHEDULER_ARRAY_INDEX'",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--wait", is_flag=True, help="Show its output while it runs; exit with its exit code.")
@task_options
@click.option("--env", multiple=True, metavar="KEY=VALUE", help="A variable for it; may be repeated.")
@click.option("--stdin", metavar="FILE", help="What it reads; - for standard input.")
@click.argument("argv", metavar="-- ARGV...", nargs=-1, required=True, type=click.UNPROCESSED)
@with_session
def run(
    session: Session, /, argv: tuple[str, ...], wait: bool, env: tuple[str, ...], stdin: str | None, **options: Any
) -> int:
    """Run one command on a worker, or with --array on many.

    Without --wait its id is printed, or that of the array. With --wait the
    exit code is the command's own, 128 + N for signal N, 127 or 126 when it
    cannot start, 124 at its time limit; of an array the worst of all.
    """
    command = {"argv": list(argv), **given(options)}
    if env:
        command["env"] = environment(env)
    if stdin:
        command["stdin"] = base64.b64encode(read_bytes(stdin)).decode()
    made = session.client.create("commands", body={"commands": [command]})["items"]
    if "array" not in command:
        return attend(session.client, made[0]["id"]) if wait else confirm(session, made[0], made[0]["id"])
    return wait_for_all(session, made) if wait else confirm(session, made, made[0]["array_id"])


@tasks.add(
    "logs",
    "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55",
    "-f --both 0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55",
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the task has ended.")
@click.option("--stderr", "streams", flag_value="stderr", help="Its stderr instead of its stdout.")
@click.option("--both", "streams", flag_value="stdout stderr", help="Each stream to the one of the same name.")
@click.option("--attempt", type=click.IntRange(min=1), help="Of this attempt; of the last without.")
@ID
@with_session
def logs(session: Session, task_id: str, follow: bool, streams: str | None, attempt: int | None) -> None:
    """Print the output of a task, whole and as it is."""
    chosen = (streams or "stdout").split()
    command = session.client.get("commands", task_id)
    follower = Follower(session.client, task_id, chosen, attempt)
    if follow:
        follower.to_end()
        return
    follower.copy()
    if command["state"] in FINAL:
        follower.tell_missing(command)


@tasks.add("wait", "--timeout 5m 0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55", "--array 0195e3c0-8b20-7001-8c53-5d8a2f4b9e10")
@TIMEOUT
@ARRAYS
@IDS
@with_session
def wait(session: Session, task_ids: tuple[str, ...], arrays: tuple[str, ...], timeout: float | None) -> int:
    """Wait until tasks have ended.

    The exit code is that of run --wait, of several tasks the worst.
    """
    return finish(session, Awaited(session.client, *named(task_ids, arrays)), timeout)


@tasks.add("cancel", "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55", "--array 0195e3c0-8b20-7001-8c53-5d8a2f4b9e10")
@ARRAYS
@IDS
@with_session
def cancel(session: Session, task_ids: tuple[str, ...], arrays: tuple[str, ...]) -> None:
    """Cancel tasks; what runs is stopped."""
    named(task_ids, arrays)
    for task_id in task_ids:
        task = session.client.post("commands", task_id, "cancel")
        session.confirm(task, f"{task_id} {task['state'] if task['state'] in FINAL else 'cancelling'}")
    for array in arrays:
        session.confirm(session.client.post("arrays", array, "cancel"), f"{array} cancelling")


def named(task_ids: tuple[str, ...], arrays: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both, where there is any. Raises click.UsageError."""
    if not task_ids and not arrays:
        raise click.UsageError("name tasks by their ids, or an array with --array")
    return task_ids, arrays


def confirm(session: Session, made: Any, line: str) -> int:
    session.confirm(made, line)
    return errors.OK


def wait_for_all(session: Session, made: Iterable[Mapping[str, Any]]) -> int:
    """Waits for tasks that were just made; arrays among them as a whole."""
    arrays = dict.fromkeys(task["array_id"] for task in made if task.get("array_id"))
    return finish(session, Awaited(session.client, [task["id"] for task in made if not task.get("array_id")], arrays))


def finish(session: Session, awaited: Awaited, timeout_s: float | None = None) -> int:
    """Waits, prints what has ended, and gives the worst exit code."""
    ended = attend_all(awaited, timeout_s)
    if ended is None:
        return errors.INTERRUPTED
    show(session, ended)
    return worst_of(ended)


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
