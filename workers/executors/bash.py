"""Shell commands: `start` stays in the foreground, `stop` asks it to end; both are one command or a list of them."""

import shutil
from typing import Any

from workers.executors.base import Executor, Recipe, UnusableContainer
from workers.protocol import Container

SHELL = "sh"


class Bash(Executor):
    """Runs each command by `sh -c`; of a list for `start`, all but the last one must end well first."""

    def present(self) -> bool:
        return shutil.which(SHELL) is not None

    def recipe(self, container: Container) -> Recipe:
        start = commands(container, "start")
        if not start:
            raise UnusableContainer(f"container {container.name}: options.start is missing; give the command to run")
        return Recipe(
            main=in_shell("\n".join(start), "-e") if len(start) > 1 else in_shell(start[0]),
            setup=[in_shell(command) for command in container.setup],
            stop=[in_shell(command) for command in commands(container, "stop")],
            teardown=[in_shell(command) for command in container.teardown],
            env=variables(container),
        )


def in_shell(command: str, *flags: str) -> list[str]:
    return [SHELL, *flags, "-c", command]


def commands(container: Container, option: str) -> list[str]:
    """The commands of an option that is text or a list of texts. Raises UnusableContainer for anything else."""
    value: Any = container.options.get(option) or []
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UnusableContainer(f"container {container.name}: options.{option} is neither a command nor a list of them")
    return [one for one in found if one.strip()]


def variables(container: Container) -> dict[str, str]:
    """`options.env`: a mapping, or a list of `NAME=value`. Raises UnusableContainer for anything else."""
    value: Any = container.options.get("env") or {}
    if isinstance(value, dict):
        return {str(name): str(text) for name, text in value.items()}
    if not isinstance(value, list) or not all(isinstance(one, str) and "=" in one for one in value):
        raise UnusableContainer(
            f"container {container.name}: options.env is neither a mapping nor a list of NAME=value"
        )
    return dict(one.split("=", 1) for one in value)
