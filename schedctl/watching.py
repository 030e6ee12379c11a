"""Shows how a graph goes until it has ended, and turns its end into our exit code.

Invariant: without a terminal each change of a component's state is one line. At a terminal a board of a few lines is
drawn again and again, and only what went wrong stays above it.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from schedctl import errors
from schedctl.client import Client
from schedctl.tables import safe_cell
from schedctl.waiting import wait_for

EXIT_CODES = {"completed": errors.OK, "errored": errors.FAILED, "cancelled": errors.INTERRUPTED}
OVER = ("completed", "skipped", "errored", "cancelled")
RUNNING_SHOWN = 8
BAR_WIDTH = 40
WIDTH_LEAST = 20


class Lines:
    """A line for each change of state."""

    def show(self, graph: Mapping[str, Any], changed: Sequence[Mapping[str, Any]], running: Sequence[Any]) -> None:
        for component in changed:
            click.echo(change_line(component))

    def close(self) -> None:
        """Nothing is to be taken away."""


class Board:
    """A bar, how many are in which state, and what runs; drawn over the one before."""

    def __init__(self) -> None:
        self._height = 0

    def show(self, graph: Mapping[str, Any], changed: Sequence[Mapping[str, Any]], running: Sequence[Any]) -> None:
        self.close()
        for component in changed:
            if component["state"] == "errored" or component.get("needs_attention"):
                click.echo(change_line(component))
        width = max(shutil.get_terminal_size().columns - 1, WIDTH_LEAST)
        lines = [line[:width] for line in board(graph, running, datetime.now(UTC))]
        for line in lines:
            click.echo(line)
        self._height = len(lines)

    def close(self) -> None:
        """Takes the board away; what was written above it stays."""
        if self._height:
            click.echo(f"\033[{self._height}A\r\033[J", nl=False)
        self._height = 0


def screen_of() -> Board | Lines:
    """What fits where our output goes."""
    return Board() if sys.stdout.isatty() else Lines()


def follow(client: Client, graph_id: str, timeout_s: float | None) -> int:
    """Shows a graph until it has ended: 0 when it is completed, 1 when it failed, 130 when it was cancelled."""
    screen = screen_of()
    seen: dict[str, str] = {}
    counts: dict[str, int] = {}
    components: list[Any] = []

    def look() -> dict[str, Any] | None:
        graph: dict[str, Any] = client.get("graphs", graph_id)
        changed: list[Any] = []
        if graph["counts"] != counts:
            components[:] = client.pages("graphs", graph_id, "components")
            changed = list(changes(components, seen))
            counts.update(graph["counts"])
        screen.show(graph, changed, [one for one in components if one["state"] == "running"])
        return graph if graph["state"] in EXIT_CODES else None

    try:
        graph = wait_for(look, f"graph {graph_id} has not ended", timeout_s)
    finally:
        screen.close()
    reason = f": {safe_cell(graph['reason'])}" if graph.get("reason") else ""
    click.echo(f"graph {graph_id} {graph['state']}{reason}")
    return EXIT_CODES[graph["state"]]


def changes(components: Sequence[Mapping[str, Any]], seen: dict[str, str]) -> Iterator[Mapping[str, Any]]:
    """The components whose states are not those in `seen`, which is brought up to date."""
    for component in components:
        name, state = component["component_id"], component["state"]
        if seen.get(name) != state:
            seen[name] = state
            yield component


def change_line(component: Mapping[str, Any]) -> str:
    """When, what, which state, and why."""
    reason = f": {safe_cell(component['reason'])}" if component.get("reason") else ""
    return f"{time.strftime('%H:%M:%S')} {safe_cell(component['component_id'])} {component['state']}{reason}"


def board(graph: Mapping[str, Any], running: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    """How a graph stands, in a few lines."""
    counts: Mapping[str, int] = graph["counts"]
    total = sum(counts.values())
    over = sum(counts.get(state, 0) for state in OVER)
    state = f"{graph['state']}, paused" if graph.get("paused_at") else graph["state"]
    yield f"graph {safe_cell(graph.get('name') or graph['id'])} {state}{since(graph.get('started_at'), now)}"
    yield f"[{bar(over, total)}] {over} of {total}"
    told = [f"{count} {name}" for name, count in counts.items() if count]
    if graph.get("needs_attention"):
        told.append(f"{graph['needs_attention']} in need of attention")
    yield "  ".join(told) or "nothing to do"
    for one in running[:RUNNING_SHOWN]:
        attempt = f", attempt {one['attempt']}" if one.get("attempt", 1) > 1 else ""
        yield f"  > {safe_cell(one['component_id'])}{since(one.get('started_at'), now)}{attempt}"
    if len(running) > RUNNING_SHOWN:
        yield f"  > and {len(running) - RUNNING_SHOWN} more"


def bar(done: int, total: int) -> str:
    """A bar of BAR_WIDTH characters; full where there is nothing to do."""
    filled = BAR_WIDTH * done // total if total else BAR_WIDTH
    return "#" * filled + "." * (BAR_WIDTH - filled)


def since(moment: str | None, now: datetime) -> str:
    """How long ago, such as ` 1:05`; nothing where it has not happened."""
    if not moment:
        return ""
    seconds = max(int((now - datetime.fromisoformat(moment)).total_seconds()), 0)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f" {hours}:{minutes:02}:{seconds:02}" if hours else f" {minutes}:{seconds:02}"
