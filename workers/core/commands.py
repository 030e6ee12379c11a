"""What a command is asked to be, and what makes such a request unacceptable.

Invariant: a request without faults can be sent to any agent as it stands.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler_project.toolkit.errors import Fault
from workers.core.containers import container_faults
from workers.core.expressions import ExpressionError, parse
from workers.protocol import InContainer

ARGV_BYTES_MAX = 131_072
STDIN_BYTES_MAX = 1_048_576
OWNER_LENGTH_MAX = 600
KEY_LENGTH_MAX = 255
PATH_LENGTH_MAX = 1024
ON_LENGTH_MAX = 500
OUTPUT_LIMIT_DEFAULT = 1_048_576
OUTPUT_LIMIT_MAX = 1_073_741_824
PRIORITY_MAX = 1000
RETRIES_MAX = 100
LIMIT_MAX = 2_147_483_647
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\$?", re.ASCII)


@dataclass(frozen=True)
class NewCommand:
    """One argv to be run once on one worker, without a shell.

    `on` is a worker's name or an expression, empty for any worker. `timeout_s` 0 is no limit, `start_within_s` 0 is the
    default of the settings. `owner` says what it is part of; a repeated `idempotency_key` returns the first command.
    `user` is whom it runs as, empty for the agent's own user; limits of 0 are none. A higher `priority` goes first.
    After a bad end it is tried again up to `retries` times; `retry_delay_s` is the first pause, which doubles.
    In a `container`, argv may be empty for the image's own, and user, cwd and `memory_mb` are those inside.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    stdin: bytes = b""
    on: str = ""
    timeout_s: float = 0
    grace_s: float = 10
    start_within_s: float = 0
    owner: str = ""
    idempotency_key: str | None = None
    output_limit_bytes: int = OUTPUT_LIMIT_DEFAULT
    user: str = ""
    memory_mb: int = 0
    cpu_seconds: int = 0
    open_files: int = 0
    priority: int = 0
    retries: int = 0
    retry_delay_s: float = 1
    container: InContainer | None = None


def faults_of(commands: Sequence[NewCommand], path: str = "commands") -> list[Fault]:
    """Every fault of every command, each with its path such as `commands[0].argv`."""
    return [
        Fault(f"{path}[{index}].{name}", message)
        for index, command in enumerate(commands)
        for name, message in command_faults(command)
    ]


def command_faults(command: NewCommand) -> Iterator[tuple[str, str]]:
    """Every fault of one command: the field, and what is wrong with it."""
    if command.container is not None:
        yield from container_faults(command.container, command.user, command.cwd)
    if command.argv or command.container is None:
        yield from _argv_faults(command.argv)
    yield from _env_faults(command.env)
    yield from _duration_faults(command)
    yield from _length_faults(command)
    yield from _number_faults(command)
    if command.container is None and command.user and not USER.fullmatch(command.user):
        yield "user", "is no user's name or number"
    if "\0" in command.cwd:
        yield "cwd", "holds a NUL character"
    try:
        parse(command.on)
    except ExpressionError as error:
        yield "on", str(error)


def _argv_faults(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    if not argv:
        yield "argv", "is empty; give the program and its arguments as a list"
        return
    if isinstance(argv, str) or not all(isinstance(word, str) for word in argv):
        yield "argv", "is not a list of strings"
        return
    if not argv[0]:
        yield "argv[0]", "is empty; give the program's name or path"
    if any("\0" in word for word in argv):
        yield "argv", "holds a NUL character"
    if sum(len(word.encode(errors="surrogatepass")) for word in argv) > ARGV_BYTES_MAX:
        yield "argv", f"is longer than {ARGV_BYTES_MAX} bytes; send long input as stdin"


def _env_faults(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            yield "env", f"{name!r} cannot be the name of a variable"
        elif not isinstance(value, str) or "\0" in value:
            yield f"env.{name}", "is not a string without NUL characters"


def _duration_faults(command: NewCommand) -> Iterator[tuple[str, str]]:
    for name in ("timeout_s", "grace_s", "start_within_s", "retry_delay_s"):
        value = getattr(command, name)
        if not math.isfinite(value) or value < 0:
            yield name, "is not a number of seconds of 0 or more"


def _number_faults(command: NewCommand) -> Iterator[tuple[str, str]]:
    bounds = {
        "output_limit_bytes": (0, OUTPUT_LIMIT_MAX),
        "memory_mb": (0, LIMIT_MAX),
        "cpu_seconds": (0, LIMIT_MAX),
        "open_files": (0, LIMIT_MAX),
        "priority": (-PRIORITY_MAX, PRIORITY_MAX),
        "retries": (0, RETRIES_MAX),
    }
    for name, (least, most) in bounds.items():
        if not least <= getattr(command, name) <= most:
            yield name, f"is not a whole number from {least} to {most}"


def _length_faults(command: NewCommand) -> Iterator[tuple[str, str]]:
    if len(command.stdin) > STDIN_BYTES_MAX:
        yield "stdin", f"is longer than {STDIN_BYTES_MAX} bytes"
    limits = {"cwd": PATH_LENGTH_MAX, "on": ON_LENGTH_MAX, "owner": OWNER_LENGTH_MAX, "idempotency_key": KEY_LENGTH_MAX}
    for name, limit in limits.items():
        if len(getattr(command, name) or "") > limit:
            yield name, f"is longer than {limit} characters"


def argv_of(program: str, parameters: Sequence[Any]) -> list[str]:
    """One argv from a program and its parameters: scalars are taken as text, null as an empty word."""
    return [program, *(_word(parameter) for parameter in parameters)]


def _word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
