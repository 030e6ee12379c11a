"""What a command works with: the settings in force, the client and how to print.

Invariant: results go to stdout, everything else to stderr.
"""

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from schedctl.cli import META, complain
from schedctl.client import Client
from schedctl.config import Flags, Settings, resolve
from schedctl.tables import table

Columns = Mapping[str, Callable[[Any], Any]]
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Session:
    """One run of schedctl. `output` is table, wide, json or yaml."""

    client: Client
    output: str

    def show_list(self, items: Iterable[Any], columns: Columns, wide: Columns) -> None:
        """Prints items as a table of `columns`, with `wide` ones added for `-o wide`, or as a list of documents."""
        if self.output in ("json", "yaml"):
            self.show_document(list(items))
            return
        chosen = {**columns, **wide} if self.output == "wide" else columns
        rows = ([cell(item) for cell in chosen.values()] for item in items)
        self.show_lines(table(list(chosen), rows))

    def show_object(self, item: Mapping[str, Any]) -> None:
        """Prints one object: a line per field, or a document."""
        if self.output in ("json", "yaml"):
            self.show_document(item)
            return
        self.show_lines(table([], [(key, value) for key, value in item.items()]))

    def show_document(self, value: Any) -> None:
        """Prints a value as YAML for `-o yaml`, else as JSON."""
        if self.output == "yaml":
            import yaml

            click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
            return
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def show_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            click.echo(line)

    def confirm(self, changed: Any, line: str) -> None:
        """Says what was done: the line, or the changed object as a document."""
        if self.output in ("json", "yaml") and changed is not None:
            self.show_document(changed)
            return
        click.echo(line)


def with_session(command: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Decorator: gives the command a session made from the options and the environment."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(session_of(click.get_current_context().meta), *args, **kwargs)

    return run


def session_of(meta: Mapping[str, Any]) -> Session:
    """Raises ConfigError."""
    settings = settings_of(meta)
    for note in settings.notes:
        complain(f"warning: {note}")
    verbose = bool(meta.get(META + "verbose")) or settings.verbose
    trace = complain if verbose else ignore
    trace(f"server {settings.server}, configuration {settings.source or 'built in'}")
    return Session(Client(settings, trace), meta.get(META + "output", "table"))


def settings_of(meta: Mapping[str, Any]) -> Settings:
    """From the options, the environment and the configuration file. Raises ConfigError."""
    given = {field.name: meta.get(META + field.name, "") for field in dataclasses.fields(Flags)}
    return resolve(Flags(**given), os.environ)


def ignore(message: str) -> None:
    """The trace of a run that is not verbose."""


def fields(*names: str) -> Columns:
    """Columns that show the fields of the same names."""
    return {name: functools.partial(field_of, name=name) for name in names}


def field_of(item: Mapping[str, Any], name: str) -> Any:
    return item.get(name)


def each(names: Sequence[str], act: Callable[[str], Any]) -> None:
    """Acts on every name in turn; the first failure ends it."""
    for name in names:
        act(name)
