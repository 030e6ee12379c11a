"""`schedctl clusters`: services as they should be and as they are."""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import click

from schedctl.cli import Group
from schedctl.commands.options import Duration
from schedctl.documents import read_bytes
from schedctl.errors import TimedOut
from schedctl.session import Session, each, fields, with_session
from schedctl.waiting import wait_for

COLUMNS = fields("name", "services")
WIDE = fields("scheduler", "created_at", "changed_at")
SERVICES = fields("cluster", "name", "task_name", "task_version", "desired", "issued", "actual", "reason")
SERVICES_WIDE = fields("min", "max")
TASKS = fields("service", "instance", "host", "state", "ports")
TASKS_WIDE = fields("id", "name", "version", "restarts", "started_at", "reason")

clusters = Group(
    "clusters",
    help="Services kept running on many hosts.",
    examples=("status", "apply --wait 60 examples/cluster.yml"),
)
NAME = click.argument("name")
FILE = click.argument("file", metavar="FILE")


@clusters.add("ls", "")
@with_session
def list_clusters(session: Session) -> None:
    """List clusters."""
    session.show_list(sorted(session.client.pages("clusters"), key=itemgetter("name")), COLUMNS, WIDE)


@clusters.add("get", "demo -o yaml")
@NAME
@with_session
def get_cluster(session: Session, name: str) -> None:
    """Show a cluster and its tasks: the instances issued to hosts."""
    cluster = session.client.get("clusters", name)
    tasks = [task for task in session.client.pages("tasks") if task["cluster"] == name]
    tasks.sort(key=itemgetter("service", "instance"))
    if session.output in ("json", "yaml"):
        session.show_document({**cluster, "tasks": tasks})
        return
    session.show_object(cluster)
    click.echo()
    session.show_list(tasks, TASKS, TASKS_WIDE)


@clusters.add("status", "", "demo -o wide")
@click.argument("name", required=False)
@with_session
def status(session: Session, name: str | None) -> None:
    """Show each service: instances desired, issued to hosts, and healthy."""
    if name:
        session.client.get("clusters", name)
    services = [one for one in session.client.pages("services") if name in (None, one["cluster"])]
    session.show_list(sorted(services, key=itemgetter("cluster", "name")), SERVICES, SERVICES_WIDE)


@clusters.add("plan", "examples/cluster.yml")
@FILE
@with_session
def plan(session: Session, file: str) -> None:
    """Show what applying a file would change, and change nothing."""
    show_changes(session, send(session, file, {"plan": "1"}))


@clusters.add("apply", "examples/cluster.yml", "--wait 60s examples/cluster.yml")
@click.option("--wait", type=Duration(), metavar="S", help="Wait so long at most until its services are as desired.")
@FILE
@with_session
def apply(session: Session, file: str, wait: float | None) -> None:
    """Make things as a file says: all of it, or nothing where there is a fault."""
    changes = send(session, file, {})
    show_changes(session, changes)
    names = {change["name"] for change in changes if change["kind"] == "service"}
    if wait is not None and names:
        wait_for_services(session, names, wait)


@clusters.add("scale", "web 5")
@click.argument("service")
@click.argument("desired", metavar="N", type=click.IntRange(min=0))
@with_session
def scale(session: Session, service: str, desired: int) -> None:
    """Set how many instances a service should have."""
    changed = session.client.post("services", service, "scale", body={"desired": desired})
    session.confirm(changed, f"{service} desired {desired}")


@clusters.add("rm", "demo")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@with_session
def remove(session: Session, names: tuple[str, ...]) -> None:
    """Stop all that a cluster runs and forget it."""
    each(names, lambda name: session.confirm(session.client.send("DELETE", "clusters", name), f"{name} removed"))


def send(session: Session, file: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The changes that a file means."""
    answer = session.client.post_file("apply", content=read_bytes(file), **query)
    return list(answer["changes"])


def show_changes(session: Session, changes: Iterable[Mapping[str, Any]]) -> None:
    """A line per object."""
    if session.output in ("json", "yaml"):
        session.show_document(list(changes))
        return
    for change in changes:
        detail = f" ({change['detail']})" if change.get("detail") else ""
        click.echo(f"{change['kind']} {change['name']}: {change['action']}{detail}")


def wait_for_services(session: Session, names: set[str], timeout_s: float) -> None:
    """Returns when these services are as desired and wait for nothing. Raises TimedOut with what each lacks."""
    unsettled: list[dict[str, Any]] = []

    def settled() -> bool | None:
        services = [one for one in session.client.pages("services") if one["name"] in names]
        unsettled[:] = [one for one in services if not is_settled(one)]
        return None if unsettled else True

    try:
        wait_for(settled, "services are not as desired", timeout_s)
    except TimedOut as error:
        lacks = (f"  {one['name']}: {one['actual']} of {one['desired']} run: {one['reason']}" for one in unsettled)
        raise TimedOut("\n".join([f"{error}:", *lacks])) from error


def is_settled(service: Mapping[str, Any]) -> bool:
    """As many healthy instances as desired, no other ones, and no reason why it is not done: old versions count too."""
    return bool(service["actual"] == service["issued"] == service["desired"] and not service["reason"])
