"""`schedctl whoami` and `schedctl completion`."""

import click

from schedctl.cli import WithExamples
from schedctl.session import Session, with_session


@click.command(cls=WithExamples, examples=("", "-o json"))
@with_session
def whoami(session: Session) -> None:
    """Show the user and the role that the server sees behind your token."""
    session.show_object(session.client.get("whoami"))


@click.command(
    cls=WithExamples,
    examples=("bash > ~/.local/share/bash-completion/completions/schedctl", 'zsh > "${fpath[1]}/_schedctl"'),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete schedctl's words."""
    from click.shell_completion import get_completion_class

    from schedctl.main import cli

    script = get_completion_class(shell)
    if script is not None:
        click.echo(script(cli, {}, "schedctl", "_SCHEDCTL_COMPLETE").source())
