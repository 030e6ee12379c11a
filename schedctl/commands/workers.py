"""`schedctl workers` and its other name `schedctl hosts`."""

from operator import itemgetter

import click

from schedctl.cli import Group
from schedctl.session import Session, each, fields, with_session

COLUMNS = fields("id", "address", "state")
WIDE = fields("name", "draining", "slots", "running", "version", "last_seen_at", "labels", "reason")
NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")

workers = Group("workers", help="Machines that run work.", examples=("ls", "get host-a"))


@workers.add("ls", "", "-o wide")
@with_session
def list_workers(session: Session) -> None:
    """List all workers, connected or not."""
    session.show_list(sorted(session.client.pages("hosts"), key=itemgetter("name")), COLUMNS, WIDE)


@workers.add("get", "host-a", "host-a -o yaml")
@click.argument("name")
@with_session
def get_worker(session: Session, name: str) -> None:
    """Show all that is known of one worker."""
    session.show_object(session.client.get("hosts", name))


@workers.add("drain", "host-a host-b")
@NAMES
@with_session
def drain(session: Session, names: tuple[str, ...]) -> None:
    """Let workers finish what they run and take nothing new."""
    each(names, lambda name: session.confirm(session.client.post("hosts", name, "drain"), f"{name} draining"))


@workers.add("undrain", "host-a")
@NAMES
@with_session
def undrain(session: Session, names: tuple[str, ...]) -> None:
    """Let drained workers take work again."""
    each(names, lambda name: session.confirm(session.client.post("hosts", name, "undrain"), f"{name} takes work"))


@workers.add("rm", "host-a")
@NAMES
@with_session
def remove(session: Session, names: tuple[str, ...]) -> None:
    """Forget workers that are gone for good."""
    each(names, lambda name: session.confirm(session.client.send("DELETE", "hosts", name), f"{name} removed"))


hosts = Group(
    "hosts",
    commands=workers.commands,
    help="The same as workers.",
    examples=("ls", "get host-a"),
)
