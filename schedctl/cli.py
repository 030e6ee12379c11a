"""How schedctl's commands are built: lazy groups, examples in every help, options that may stand anywhere.

Invariant: whatever goes wrong ends in one message on stderr and a documented exit code, never in a traceback.
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import click

from schedctl import errors

META = "schedctl."
FORMATS = ("table", "wide", "json", "yaml")
HELP_WORDS = ("help", "?")


def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keeps a global option's value; the one nearest to the sub-command wins."""
    if value:
        ctx.meta[META + str(param.name)] = value


def global_options() -> list[click.Option]:
    """The options that every command takes, before or after its name."""
    shared: dict[str, Any] = {"expose_value": False, "callback": remember}
    return [
        click.Option(["-c", "--config"], metavar="FILE", help="Configuration file.", **shared),
        click.Option(["--server"], metavar="URL", help="Server, as host:port or URL.", **shared),
        click.Option(["--token"], metavar="TOKEN", help="API token; better in SCHEDCTL_TOKEN.", **shared),
        click.Option(["--cacert"], metavar="FILE", help="Authority of the server's certificate.", **shared),
        click.Option(["--cert"], metavar="FILE", help="Your certificate, where the server asks for one.", **shared),
        click.Option(["--key"], metavar="FILE", help="The key of --cert.", **shared),
        click.Option(["-o", "--output"], type=click.Choice(FORMATS), help="How to print.", **shared),
        click.Option(["-v", "--verbose"], is_flag=True, help="Show each call on stderr.", **shared),
    ]


class WithExamples(click.Command):
    """A command whose help ends in examples and that takes the global options.

    An example is what to type after the command's own name.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.global_options = global_options()
        self.params.extend(self.global_options)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        general = [option.get_help_record(ctx) for option in self.global_options]
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        own = [option.get_help_record(ctx) for option in options if option not in self.global_options]
        for title, records in (("Options", own), ("Global options", general)):
            with formatter.section(title):
                formatter.write_dl([record for record in records if record is not None])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                line = f"{ctx.command_path} {example}".rstrip()
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Group(WithExamples, click.Group):
    """The commands on one kind of object."""

    def add(self, name: str, *examples: str, **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
        """Decorator: makes a function this group's command `name`; the docstring is its help."""
        return self.command(name, cls=WithExamples, examples=examples, **settings)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        WithExamples.format_options(self, ctx, formatter)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in HELP_WORDS:
            return click.Command(cmd_name, callback=lambda: click.echo(ctx.get_help()), hidden=True)
        return super().get_command(ctx, cmd_name)


class LazyGroup(Group):
    """A group whose sub-commands are imported on use. `lazy` maps names to ("module:attribute", short help)."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, attribute = self.lazy[cmd_name][0].split(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in self.lazy.items()])

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Runs one command line and exits with its code."""
        extra["standalone_mode"] = False
        sys.exit(exit_code_of(lambda: super(LazyGroup, self).main(args, **extra)))


def exit_code_of(run: Callable[[], Any]) -> int:
    """Runs a command; prints what went wrong, if anything, and gives the exit code."""
    try:
        result = run()
    except click.Abort:
        complain("interrupted")
        return errors.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except errors.CtlError as error:
        complain(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the operator gets a line and not a traceback, whatever happened
        complain(f"unexpected answer or internal error ({type(error).__name__}: {error}); run again with -v")
        return errors.FAILED
    return result if isinstance(result, int) else errors.OK


def complain(message: str) -> None:
    """One message on stderr."""
    click.echo(f"schedctl: {message}", err=True)
