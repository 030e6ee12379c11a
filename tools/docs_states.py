"""Writes docs/reference/states.md from the state machines of the apps' cores: `python -m tools.docs_states`.

Invariant: the page is a function of the tables alone, so a test can tell whether it is up to date.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from scheduler_project.toolkit.states import StateMachine

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "states.md"
APPS = ("topologies", "graphs", "clusters", "workers")
OPENING = """\
# States

Written by `make docs` from the tables that the code obeys; a test fails where this page and they differ. A move that
is not drawn is refused with `RefusedMove`, and changes nothing.
"""


def core_modules(app: str) -> Iterator[ModuleType]:
    """The modules of an app's core, in the order of their names."""
    core = importlib.import_module(f"{app}.core")
    for found in sorted(pkgutil.iter_modules(core.__path__), key=lambda module: module.name):
        yield importlib.import_module(f"{core.__name__}.{found.name}")


def state_machines(app: str) -> list[StateMachine]:
    """The state machines that an app defines, each once, in the order of the code."""
    machines = [
        value for module in core_modules(app) for value in vars(module).values() if isinstance(value, StateMachine)
    ]
    return [machine for position, machine in enumerate(machines) if machine not in machines[:position]]


def diagram(machine: StateMachine) -> str:
    """One machine as a Mermaid state diagram; the first state of the table is the one that things begin in."""
    lines = [f"    [*] --> {machine.states[0]}"]
    for state, following in machine.transitions.items():
        lines += [f"    {state} --> {after}" for after in machine.states if after in following]
        if state in machine.final:
            lines.append(f"    {state} --> [*]")
        again = machine.reopening.get(state, frozenset())
        lines += [f"    {state} --> {after}: by hand" for after in machine.states if after in again]
    return "```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```\n"


def page() -> str:
    """The whole page."""
    parts = [OPENING]
    for app in APPS:
        for machine in state_machines(app):
            parts.append(f"## {machine.name.capitalize()} (`{app}`)\n\n{diagram(machine)}")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
