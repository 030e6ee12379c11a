"""`schedctl graphs`: what people do to graphs that run, or have ended, and to single components of them.

Invariant: importing this module completes the group, so it is what the entry point names.
"""

from collections.abc import Mapping
from typing import Any

import click

from schedctl.commands.graphs import graphs
from schedctl.completing import component_ids, graph_ids
from schedctl.session import Session, each, fields, with_session
from schedctl.tables import safe_cell

EXAMPLE = "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55"
RESETS = fields("component_id", "before", "state", "reason")
CAUSES = fields("component_id", "state", "reason")
VERBS = {"skipped": "skip", "completed": "complete", "errored": "fail"}
GRAPHS = click.argument("graph_ids", metavar="GRAPH...", nargs=-1, required=True, shell_complete=graph_ids)
GRAPH = click.argument("graph_id", metavar="GRAPH", shell_complete=graph_ids)
COMPONENT = click.argument("component_id", metavar="COMPONENT", shell_complete=component_ids)
PREVIEW = click.option("--preview", is_flag=True, help="Only show what would be done again.")
REASON = click.option("--reason", default="", metavar="TEXT", help="Kept with the component.")
COMMENT = click.option("--comment", default="", metavar="TEXT", help="Kept with the decision.")


@graphs.add("cancel", EXAMPLE, f"--tell {EXAMPLE}", f"--quietly {EXAMPLE}")
@click.option("--tell", "tell", flag_value="true", help="Tell connectors on NATS too, on ….cancel, to stop what runs.")
@click.option("--quietly", "tell", flag_value="false", help="Tell nobody: what is in flight runs to its end.")
@GRAPHS
@with_session
def cancel(session: Session, graph_ids: tuple[str, ...], tell: str | None) -> None:
    """Cancel graphs: what waits is not started, what we carry out ourselves is stopped.

    Cancelled once more, a graph no longer waits for what is in flight.
    """
    query = {"tell": tell} if tell else {}

    def act(one: str) -> None:
        session.confirm(session.client.post("graphs", one, "cancel", **query), f"{one} cancelling")

    each(graph_ids, act)


@graphs.add("pause", EXAMPLE)
@GRAPHS
@with_session
def pause(session: Session, graph_ids: tuple[str, ...]) -> None:
    """Start nothing new in graphs; what is in flight goes on."""
    each(graph_ids, lambda one: session.confirm(session.client.post("graphs", one, "pause"), f"{one} paused"))


@graphs.add("unpause", EXAMPLE)
@GRAPHS
@with_session
def unpause(session: Session, graph_ids: tuple[str, ...]) -> None:
    """Let paused graphs go on."""
    each(graph_ids, lambda one: session.confirm(session.client.post("graphs", one, "unpause"), f"{one} goes on"))


@graphs.add("resume", EXAMPLE, f"--preview {EXAMPLE}")
@PREVIEW
@GRAPH
@with_session
def resume(session: Session, graph_id: str, preview: bool) -> None:
    """Do what failed or was cancelled; nothing that is completed is done again."""
    address = ("graphs", graph_id, "resume")
    if preview:
        show_resets(session, session.client.post(*address, preview="true"))
        return
    session.confirm(session.client.post(*address), f"{graph_id} resumed")


@graphs.add("retry", f"--preview {EXAMPLE} network::web", f"{EXAMPLE} network::web")
@PREVIEW
@GRAPH
@COMPONENT
@with_session
def retry(session: Session, graph_id: str, component_id: str, preview: bool) -> None:
    """Do a component, and all that hangs from it, again."""
    address = ("graphs", graph_id, "components", component_id, "retry")
    if preview:
        show_resets(session, session.client.post(*address, preview="true"))
        return
    session.confirm(session.client.post(*address), f"{component_id} is done again")


@graphs.add("skip", f"{EXAMPLE} network::web --reason 'it is there already'")
@REASON
@GRAPH
@COMPONENT
@with_session
def skip(session: Session, graph_id: str, component_id: str, reason: str) -> None:
    """Go on without a component, as if it were completed."""
    decide(session, graph_id, component_id, "skip", {"reason": reason})


@graphs.add("mark", f"{EXAMPLE} network::web completed --reason 'done by hand'", f"{EXAMPLE} network::web errored")
@REASON
@GRAPH
@COMPONENT
@click.argument("state", type=click.Choice(list(VERBS)))
@with_session
def mark(session: Session, graph_id: str, component_id: str, state: str, reason: str) -> None:
    """Give a component its state by hand."""
    decide(session, graph_id, component_id, VERBS[state], {"reason": reason})


@graphs.add("approve", f"{EXAMPLE} approval::go --comment 'looks right'")
@COMMENT
@GRAPH
@COMPONENT
@with_session
def approve(session: Session, graph_id: str, component_id: str, comment: str) -> None:
    """Approve a component that waits for it."""
    decide(session, graph_id, component_id, "approve", {"comment": comment})


@graphs.add("reject", f"{EXAMPLE} approval::go --comment 'not on a Friday'")
@COMMENT
@GRAPH
@COMPONENT
@with_session
def reject(session: Session, graph_id: str, component_id: str, comment: str) -> None:
    """Reject a component that waits for an approval: it fails."""
    decide(session, graph_id, component_id, "reject", {"comment": comment})


@graphs.add("why", f"{EXAMPLE} network::web")
@GRAPH
@COMPONENT
@with_session
def why(session: Session, graph_id: str, component_id: str) -> None:
    """Say why a component is not done, and what is at the root of it."""
    tell_why(session, graph_id, component_id)


def decide(session: Session, graph_id: str, component_id: str, verb: str, body: Mapping[str, Any]) -> None:
    found = session.client.post("graphs", graph_id, "components", component_id, verb, body=body)
    session.confirm(found, f"{component_id} {found['state']}: {safe_cell(found['reason'])}".rstrip(": "))


def show_resets(session: Session, plan: Mapping[str, Any]) -> None:
    """What a resume or a retry would do."""
    if session.output in ("json", "yaml"):
        session.show_document(plan)
        return
    if plan["refused"]:
        click.echo(f"refused: {safe_cell(plan['refused'])}")
        return
    session.show_list(plan["resets"], RESETS, {})


def tell_why(session: Session, graph_id: str, component_id: str) -> None:
    """Prints the reason, the dependencies that are missing, and the causes at their root."""
    found = session.client.get("graphs", graph_id, "components", component_id, "why")
    if session.output in ("json", "yaml"):
        session.show_document(found)
        return
    click.echo(f"{safe_cell(found['component_id'])} {found['state']}: {safe_cell(found['summary'])}")
    for title, causes in (("waits for", found["nearest"]), ("in the end for", found["roots"])):
        if causes:
            click.echo(f"\n{title}")
            session.show_list(causes, CAUSES, {})
