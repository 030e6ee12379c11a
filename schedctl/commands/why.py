"""`schedctl why`: why something is not done."""

import click

from schedctl.cli import WithExamples
from schedctl.commands.life import tell_why
from schedctl.session import Session, with_session


@click.command("why", cls=WithExamples, examples=("graph:0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55/network::web",))
@click.argument("thing", metavar="OBJECT")
@with_session
def why(session: Session, thing: str) -> None:
    """Say why something is not done.

    OBJECT is graph:ID/COMPONENT.
    """
    kind, _, name = thing.partition(":")
    graph_id, _, component_id = name.partition("/")
    if kind != "graph" or not graph_id or not component_id:
        raise click.BadParameter("give it as graph:ID/COMPONENT", param_hint="OBJECT")
    tell_why(session, graph_id, component_id)
