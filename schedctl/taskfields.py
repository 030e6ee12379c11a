"""What may be asked of a task besides its argv: each is an option of the command line and a key of a tasks file.

Invariant: an option `--retry-delay` and a key `retry_delay` mean the same and take the same values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from schedctl.commands.options import Duration
from schedctl.durations import parse_duration

Command = TypeVar("Command", bound=Callable[..., Any])
METAVARS = {"text": "TEXT", "whole": "N", "duration": "TIME"}


@dataclass(frozen=True)
class TaskField:
    """One thing to ask. `kind` is text, whole or duration; `sent_as` is its name in the API."""

    name: str
    sent_as: str
    kind: str
    help: str
    metavar: str = ""

    def read(self, text: str) -> Any:
        """The value of a key, as it is sent. Raises ValueError saying what is accepted."""
        if self.kind == "whole":
            return whole(text)
        return parse_duration(text) if self.kind == "duration" else text

    def option(self) -> Callable[[Command], Command]:
        """The option of the command line."""
        types: dict[str, Any] = {"whole": click.INT, "duration": Duration(), "text": click.STRING}
        name = f"--{self.name.replace('_', '-')}"
        return click.option(
            name, self.name, type=types[self.kind], metavar=self.metavar or METAVARS[self.kind], help=self.help
        )


def whole(text: str) -> int:
    """Raises ValueError."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


FIELDS = (
    TaskField("on", "on", "text", "Where: a worker's name, or terms such as 'zone=a and cores>=4'.", "EXPR"),
    TaskField("cwd", "cwd", "text", "Where on the worker it runs.", "DIR"),
    TaskField("user", "user", "text", "As whom it runs; needs an agent that runs as root.", "USER"),
    TaskField("timeout", "timeout_s", "duration", "Stop it after so long (30, 1m30s)."),
    TaskField("grace", "grace_s", "duration", "Between TERM and KILL when it is stopped; 10s unless given."),
    TaskField("start_within", "start_within_s", "duration", "Give it up when it has not started by then."),
    TaskField("priority", "priority", "whole", "Higher goes first; from -1000 to 1000."),
    TaskField("retries", "retries", "whole", "Try it so often again after a bad end."),
    TaskField("retry_delay", "retry_delay_s", "duration", "Before the first retry; doubles with each."),
    TaskField("memory_mb", "memory_mb", "whole", "Limit of its memory, in MiB.", "MIB"),
    TaskField("cpu_seconds", "cpu_seconds", "whole", "Limit of CPU time of each of its processes.", "S"),
    TaskField("open_files", "open_files", "whole", "Limit of open files of each of its processes."),
    TaskField("array", "array", "text", "Once for each index: 0-99, 0-99:5 or 1,3,7.", "INDICES"),
    TaskField("at_once", "at_once", "whole", "How many of the array run at once."),
)
BY_NAME = {field.name: field for field in FIELDS}


def task_options(command: Command) -> Command:
    """Decorator: adds the option of every field."""
    for field in reversed(FIELDS):
        command = field.option()(command)
    return command


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The API's fields for the options that were used."""
    return {field.sent_as: options[field.name] for field in FIELDS if options.get(field.name) is not None}
