"""`schedctl graphs`: builds, watched as they go."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from schedctl import errors
from schedctl.cli import Group
from schedctl.client import address
from schedctl.commands.options import TIMEOUT, WAIT
from schedctl.completing import component_ids, graph_ids
from schedctl.documents import load_mapping
from schedctl.session import Session, fields, with_session
from schedctl.tables import safe_cell, table
from schedctl.watching import follow

SHOWN_MAX = 20
VALUE_LENGTH_MAX = 60
STATES = ("pending", "running", "completed", "errored", "cancelled")
SOURCES = ("nats", "http", "cli", "topology", "graph")
COLUMNS = fields("id", "name", "action", "state")
WIDE = fields("source", "counts", "created_at", "started_at", "ended_at", "reason")
COMPONENT_COLUMNS = fields("component_id", "provider", "action", "state", "attempt")
COMPONENT_WIDE = fields(
    "type", "depends_on", "rule", "needs_attention", "decided_by", "started_at", "ended_at", "reason"
)
ATTEMPT_COLUMNS = fields("number", "outcome", "started_at", "ended_at", "reason")
ATTEMPT_WIDE = fields("run", "sent_at", "seen_at", "decided_by", "handle", "reply")

graphs = Group(
    "graphs",
    help="Builds in the order of their dependencies.",
    examples=("ls", "submit --wait examples/graph.json"),
)
ID = click.argument("graph_id", metavar="ID", shell_complete=graph_ids)


@graphs.add("ls", "", "-o wide", "--state running --name shop", "--attention")
@click.option("--state", type=click.Choice(STATES), help="Only graphs in this state.")
@click.option("--name", metavar="TEXT", help="Only graphs with this in their name or id.")
@click.option("--source", type=click.Choice(SOURCES), help="Only graphs that came this way.")
@click.option("--attention", is_flag=True, default=None, help="Only graphs that need a person.")
@with_session
def list_graphs(session: Session, /, **chosen: str | bool | None) -> None:
    """List graphs, the newest first."""
    asked = {key: "true" if value is True else value for key, value in chosen.items()}
    session.show_list(session.client.pages("graphs", **asked), COLUMNS, WIDE)


@graphs.add(
    "get",
    "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55",
    "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55 network::web",
    "--mapping 0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55 > result.json",
)
@click.option("--mapping", "shape", flag_value="mapping", help="The whole mapping, with what components answered.")
@ID
@click.argument("component_id", metavar="[COMPONENT]", required=False, shell_complete=component_ids)
@with_session
def get_graph(session: Session, graph_id: str, component_id: str | None, shape: str | None) -> None:
    """Show a graph and its components, or one component with its attempts and what was sent in each."""
    if component_id is not None:
        show_component(session, session.client.get("graphs", graph_id, "components", component_id))
        return
    if shape == "mapping":
        session.show_document(session.client.get("graphs", graph_id, "mapping"))
        return
    graph = session.client.get("graphs", graph_id)
    parts = components_of(session, graph_id)
    if session.output in ("json", "yaml"):
        session.show_document({**graph, "components": parts})
        return
    session.show_object(graph)
    click.echo()
    session.show_list(parts, COMPONENT_COLUMNS, COMPONENT_WIDE)


def show_component(session: Session, component: Mapping[str, Any]) -> None:
    """One component, its attempts, and of each attempt that failed or was not the first what was sent."""
    if session.output in ("json", "yaml"):
        session.show_document(component)
        return
    session.show_object({key: value for key, value in component.items() if key != "attempts"})
    click.echo()
    session.show_list(component["attempts"], ATTEMPT_COLUMNS, ATTEMPT_WIDE)
    for one in component["attempts"]:
        if one["sent"] is not None:
            click.echo(f"\nattempt {one['number']} was sent")
            session.show_document(one["sent"])


@graphs.add("submit", "examples/graph.json", "--wait graph.yml")
@WAIT
@TIMEOUT
@click.argument("file", metavar="FILE")
@with_session
def submit(session: Session, file: str, wait: bool, timeout: float | None) -> int:
    """Submit a graph's mapping (JSON or YAML; - for stdin)."""
    graph = session.client.create("graphs", body=load_mapping(file))
    if not wait:
        session.show_list([graph], COLUMNS, WIDE)
        return errors.OK
    return follow(session.client, graph["id"], timeout)


@graphs.add("plan", "examples/graph.json")
@click.argument("file", metavar="FILE")
@with_session
def plan(session: Session, file: str) -> None:
    """Show what submitting a file would do, and do nothing.

    Components of one level do not wait for each other.
    """
    found = session.client.post("graphs", "plan", body=load_mapping(file))
    if session.output in ("json", "yaml"):
        session.show_document(found)
        return
    session.show_lines(table(["level", "components"], enumerate(found["levels"], start=1)))
    for line in plan_lines(found):
        click.echo(line)


def plan_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What a plan says besides its levels."""
    longest = found["critical_path"]
    if len(longest["components"]) > 1:
        lasting = "" if longest["duration_s"] is None else f" (about {longest['duration_s']:.1f} s)"
        yield f"longest chain{lasting}: {safe_cell(shortened(longest['components'], ' → '))}"
    readings = found["templates"]
    for one in readings[:SHOWN_MAX]:
        yield f"{safe_cell(one['path'])} reads {safe_cell(one['template'])}"
    if len(readings) > SHOWN_MAX:
        yield f"and {len(readings) - SHOWN_MAX} more templates; -o json shows all"
    if found["done"]:
        yield f"{found['done']} done already, {found['in_flight']} in flight"
    yield (
        ", ".join(f"{count} to {safe_cell(verb)}" for verb, count in found["counts_by_verb"].items()) or "nothing to do"
    )


def shortened(names: list[str], between: str) -> str:
    """Names in a row; of a long row its two ends."""
    if len(names) > SHOWN_MAX:
        half = SHOWN_MAX // 2
        names = [*names[:half], f"{len(names) - 2 * half} more", *names[-half:]]
    return between.join(names)


@graphs.add("diff", "wanted.json --against shop-1", "--submit --wait wanted.json --against last.json")
@click.option("--against", metavar="ID|FILE", help="What exists: an ended graph, or a mapping. Without it, nothing.")
@click.option("--group-tag", metavar="TAG", help="Components with one value of this tag are updated one by one.")
@click.option("--replace", "on_immutable", flag_value="replace", help="Delete and create what cannot be changed.")
@click.option("--submit", "submits", is_flag=True, help="Submit the graph that makes up the difference.")
@WAIT
@TIMEOUT
@click.argument("file", metavar="WANTED")
@with_session
def diff(
    session: Session,
    file: str,
    against: str | None,
    submits: bool,
    wait: bool,
    timeout: float | None,
    group_tag: str | None,
    on_immutable: str | None,
) -> int:
    """Show what differs between a wanted mapping and what exists, and how to get there.

    What would not change is left alone. With -o json the runnable mapping is in the answer.
    """
    existing = load_mapping(against) if against and Path(against).is_file() else against
    rules = {"group_tag": group_tag, "on_immutable": on_immutable}
    asked = {"wanted": load_mapping(file), "against": existing, **{key: one for key, one in rules.items() if one}}
    found = session.client.post("graphs", "diff", body=asked)
    if not submits:
        if session.output in ("json", "yaml"):
            session.show_document(found)
        else:
            session.show_lines(diff_lines(found))
        return errors.OK
    session.show_lines(diff_lines(found))
    graph = session.client.create("graphs", body=found["mapping"])
    if not wait:
        session.show_list([graph], COLUMNS, WIDE)
        return errors.OK
    return follow(session.client, graph["id"], timeout)


def diff_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """A line for each difference, and the sum."""
    for one in found["changelog"]:
        component_id, *place = one["path"]
        values = f" {safe_cell('.'.join(place))}: {compact(one['from'])} → {compact(one['to'])}" if place else ""
        yield f"{one['type']:<7} {safe_cell(component_id)}{values}"
    counts = [f"{count} to {safe_cell(verb)}" for verb, count in found["counts_by_verb"].items()]
    yield ", ".join([*counts, f"{found['unchanged']} unchanged"])


def compact(value: Any) -> str:
    """A JSON value on one line, cut where it is long."""
    text = safe_cell(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[:VALUE_LENGTH_MAX]}…"


@graphs.add("watch", "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55", "--timeout 10m 0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55")
@TIMEOUT
@ID
@with_session
def watch(session: Session, graph_id: str, timeout: float | None) -> int:
    """Show how a graph goes until it ends.

    At a terminal this is a bar with what runs and what went wrong, elsewhere a line for each change. Exit code: 0 when
    the graph completes, 1 when it fails, 130 when it is cancelled.
    """
    session.client.get("graphs", graph_id)
    return follow(session.client, graph_id, timeout)


@graphs.add("dot", "--colour 0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55 | dot -Tsvg > graph.svg")
@click.option("--colour", "query", flag_value="true", help="Components as nodes, coloured by their states.")
@ID
@with_session
def dot(session: Session, graph_id: str, query: str | None) -> None:
    """Print a graph in Graphviz' language."""
    path = address(("graphs", graph_id, "dot"), {"colour": query})
    click.echo(session.client.call("GET", path).body.decode(errors="replace"))


def components_of(session: Session, graph_id: str) -> list[Any]:
    return list(session.client.pages("graphs", graph_id, "components"))
