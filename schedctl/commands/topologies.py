"""`schedctl topologies` and `schedctl runs`: graphs that run by the clock, and their runs."""

from operator import itemgetter
from typing import Any

import click

from schedctl import errors
from schedctl.cli import Group
from schedctl.client import items_of
from schedctl.commands.options import TIMEOUT, WAIT
from schedctl.documents import kind_of, load_mapping
from schedctl.errors import BadFile
from schedctl.session import Columns, Session, each, fields, with_session
from schedctl.tables import safe_cell
from schedctl.waiting import wait_for

SUCCEEDED = frozenset({"successful", "completed"})
COLUMNS: Columns = {
    **fields("name", "state", "cron", "next_run_at"),
    "last_run": lambda topology: (topology["last_run"] or {}).get("state"),
}
WIDE = fields("timezone", "overlap", "version", "reason")
RUNS = fields("id", "topology", "state", "started_at", "ended_at")
RUNS_WIDE = fields("kind", "graph", "actor", "scheduled_at", "reason")

topologies = Group(
    "topologies",
    help="Graphs that run by the clock.",
    examples=("ls", "run --wait nightly"),
)
runs = Group("runs", help="The runs of topologies.", examples=("ls --topology nightly",))
NAME = click.argument("name")
NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")
FILE = click.argument("file", metavar="FILE")


@topologies.add("ls", "", "-o wide")
@with_session
def list_topologies(session: Session) -> None:
    """List topologies and when each runs next."""
    session.show_list(sorted(session.client.pages("topologies"), key=itemgetter("name")), COLUMNS, WIDE)


@topologies.add("get", "nightly -o yaml")
@NAME
@with_session
def get_topology(session: Session, name: str) -> None:
    """Show all that is known of one topology."""
    session.show_object(session.client.get("topologies", name))


@topologies.add("create", "examples/topology.yml")
@FILE
@with_session
def create(session: Session, file: str) -> None:
    """Create the topologies that a file describes (YAML or JSON; - for stdin)."""
    for document in documents_in(file):
        made = session.client.create("topologies", body=document)
        session.confirm(made, f"{made['name']} created")


@topologies.add("update", "examples/topology.yml")
@FILE
@with_session
def update(session: Session, file: str) -> None:
    """Make topologies as a file describes them; the names in it tell which."""
    for document in documents_in(file):
        made = session.client.send("PUT", "topologies", document["name"], body=document)
        session.confirm(made, f"{made['name']} updated")


@topologies.add("rm", "nightly")
@NAMES
@with_session
def remove(session: Session, names: tuple[str, ...]) -> None:
    """Delete topologies; their runs are kept, and those in progress go on."""
    each(names, lambda name: session.confirm(session.client.send("DELETE", "topologies", name), f"{name} removed"))


@topologies.add("run", "nightly", "--wait --timeout 10m nightly")
@WAIT
@TIMEOUT
@NAME
@with_session
def run(session: Session, name: str, wait: bool, timeout: float | None) -> int:
    """Run a topology now."""
    started = session.client.create("topologies", name, "run", body={})
    if not wait:
        session.show_list([started], RUNS, RUNS_WIDE)
        return errors.OK
    ended = wait_for(lambda: ended_run(session, started["id"]), f"run {started['id']} has not ended", timeout)
    session.show_list([ended], RUNS, RUNS_WIDE)
    return errors.OK if ended["state"] in SUCCEEDED else errors.FAILED


@topologies.add("pause", "nightly")
@NAMES
@with_session
def pause(session: Session, names: tuple[str, ...]) -> None:
    """Stop running topologies by the clock; they can still be run by hand."""
    each(names, lambda name: session.confirm(session.client.post("topologies", name, "pause"), f"{name} paused"))


@topologies.add("unpause", "nightly")
@NAMES
@with_session
def unpause(session: Session, names: tuple[str, ...]) -> None:
    """Run topologies by the clock again."""
    each(names, lambda name: session.confirm(session.client.post("topologies", name, "unpause"), f"{name} active"))


@topologies.add("next", "--count 3 nightly")
@click.option("--count", type=click.IntRange(1, 100), default=5, show_default=True, help="How many.")
@NAME
@with_session
def next_fires(session: Session, name: str, count: int) -> None:
    """Show when a topology will run next."""
    times = items_of(session.client.get("topologies", name, "next", count=count))
    if session.output in ("json", "yaml"):
        session.show_document(times)
        return
    session.show_lines(times)


@runs.add("ls", "", "--topology nightly -o wide")
@click.option("--topology", default="", help="Only runs of this topology.")
@with_session
def list_runs(session: Session, topology: str) -> None:
    """List runs, the newest first."""
    session.show_list(session.client.pages("runs", topology=topology), RUNS, RUNS_WIDE)


@runs.add("get", "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55")
@click.argument("run_id", metavar="ID")
@with_session
def get_run(session: Session, run_id: str) -> None:
    """Show all that is known of one run."""
    session.show_object(session.client.get("runs", run_id))


@runs.add("logs", "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55")
@click.argument("run_id", metavar="ID")
@with_session
def logs(session: Session, run_id: str) -> None:
    """Print the first 4 KiB of what each of a run's commands wrote to stdout."""
    graph_id = session.client.get("runs", run_id)["graph"]
    mapping = session.client.get("graphs", graph_id, "mapping") if graph_id else {"changes": []}
    for component in mapping["changes"]:
        for line in str(component.get("stdout") or "").splitlines():
            click.echo(f"{component['_component_id']} | {safe_cell(line)}")


@runs.add("kill", "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55")
@click.argument("run_ids", metavar="ID...", nargs=-1, required=True)
@with_session
def kill(session: Session, run_ids: tuple[str, ...]) -> None:
    """Kill runs: what runs is stopped, the rest is not started."""
    each(run_ids, lambda one: session.confirm(session.client.post("runs", one, "kill"), f"{one} stopping"))


def documents_in(file: str) -> list[dict[str, Any]]:
    """The topologies of a file: one, or a list under `topologies`. Raises BadFile for one without a name."""
    found = load_mapping(file)
    documents = found.get("topologies", [found])
    if not isinstance(documents, list):
        raise BadFile(f"{file}: topologies: must be a list, not {kind_of(documents)}")
    for index, document in enumerate(documents):
        if not isinstance(document, dict) or not isinstance(document.get("name"), str) or not document["name"]:
            path = f"topologies[{index}]." if "topologies" in found else ""
            raise BadFile(f"{file}: {path}name: is missing; say which topology it describes")
    return documents


def ended_run(session: Session, run_id: str) -> dict[str, Any] | None:
    """The run when it has ended, else None."""
    found: dict[str, Any] = session.client.get("runs", run_id)
    return None if found["state"] == "running" else found
