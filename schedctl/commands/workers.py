"""`schedctl workers` and its other name `schedctl hosts`."""

from operator import itemgetter

import click

from schedctl.cli import Group
from schedctl.commands.options import Duration
from schedctl.session import Session, each, fields, with_session

COLUMNS = fields("id", "address", "state")
WIDE = fields("name", "draining", "slots", "running", "version", "last_seen_at", "labels", "reason")
TOKENS = fields("id", "host", "uses_left", "expires_at")
TOKENS_WIDE = fields("created_at", "made_by")
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


@workers.add("join-token", "", "--host host-c --ttl 10m", "--uses 20 --ttl 1d -o json")
@click.option("--host", default="", metavar="NAME", help="Only this host may use it; any new one without.")
@click.option("--ttl", type=Duration(), default="1h", show_default=True, help="How long it may be used (10m, 1d).")
@click.option("--uses", type=click.IntRange(min=1), default=1, show_default=True, help="How many agents may use it.")
@with_session
def join_token(session: Session, host: str, ttl: float, uses: int) -> None:
    """Make a token with which new agents join; it is shown once.

    An agent takes it from SCHEDULER_JOIN_TOKEN in its environment.
    """
    made = session.client.post("join-tokens", body={"host": host, "ttl_s": ttl, "uses": uses})
    session.confirm(made, made["token"])


@workers.add("join-tokens", "", "-o wide")
@with_session
def join_tokens(session: Session) -> None:
    """List the join tokens that may still be used, without their secrets."""
    session.show_list(session.client.pages("join-tokens"), TOKENS, TOKENS_WIDE)


@workers.add("withdraw-token", "5f2c9a7e01d4b836")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@with_session
def withdraw_token(session: Session, ids: tuple[str, ...]) -> None:
    """Make join tokens useless; workers that joined with them stay."""
    each(ids, lambda one: session.confirm(session.client.send("DELETE", "join-tokens", one), f"{one} withdrawn"))


@workers.add("revoke", "host-c")
@NAMES
@with_session
def revoke(session: Session, names: tuple[str, ...]) -> None:
    """Take the trust from workers: nothing they say counts any more.

    A revoked worker comes back only with a new join token for its name.
    """
    each(names, lambda name: session.confirm(session.client.post("hosts", name, "revoke"), f"{name} revoked"))


hosts = Group(
    "hosts",
    commands=workers.commands,
    help="The same as workers.",
    examples=("ls", "get host-a"),
)
