"""Chooses a worker for each request: filters say who cannot take it and why, a scorer says who takes it.

Invariant: a request without a worker comes back with the reason that every worker gave; the inputs are never changed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from workers.core.expressions import Expression, parse

NAMES_PER_REASON = 3
REASONS_SHOWN = 5


@dataclass(frozen=True)
class Host:
    """A worker as placement sees it. `load` counts what it has unfinished, `turn` grows with each thing it is given."""

    id: str
    name: str
    connected: bool = True
    draining: bool = False
    labels: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    load: int = 0
    turn: int = 0

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """What expressions are judged by; a label hides a fact of the same name."""
        return {**self.facts, **self.labels, "name": self.name}


@dataclass(frozen=True)
class Request:
    """Something to be placed. `avoid` is the worker that has just lost or refused it: taken only where it is the last.

    `executor` is the one that the work needs, empty where the agent itself carries it out.
    """

    id: str
    on: str = ""
    executor: str = ""
    avoid: str = ""


@dataclass(frozen=True)
class Placement:
    """The worker's id for a request, or None and why it waits."""

    request_id: str
    host_id: str | None
    reason: str = ""


Filter = Callable[[Request, Expression, Host], str]
Scorer = Callable[[Host], tuple[float, ...]]


def refuse_disconnected(request: Request, expression: Expression, host: Host) -> str:
    return "" if host.connected else "disconnected"


def refuse_draining(request: Request, expression: Expression, host: Host) -> str:
    return "draining" if host.draining else ""


def refuse_unlike(request: Request, expression: Expression, host: Host) -> str:
    return expression.refusal(host.attributes)


def refuse_without_executor(request: Request, expression: Expression, host: Host) -> str:
    if not request.executor or request.executor in host.facts.get("executors", ()):
        return ""
    return f"no executor {request.executor}"


def round_robin(host: Host) -> tuple[float, ...]:
    """The worker that was given something least recently, over all requests ever made."""
    return (host.turn,)


def least_loaded(host: Host) -> tuple[float, ...]:
    """The worker with the fewest unfinished units, in turn among equals."""
    return (host.load, host.turn)


FILTERS: tuple[Filter, ...] = (refuse_unlike, refuse_disconnected, refuse_draining, refuse_without_executor)
SCORERS: Mapping[str, Scorer] = {"round_robin": round_robin, "least_loaded": least_loaded}


def place(requests: Sequence[Request], hosts: Sequence[Host], scorer: Scorer) -> tuple[list[Placement], list[Host]]:
    """Places requests in the order given. Returns the placements, and the hosts that were given something as they are
    then. Raises ExpressionError for an `on` that was not validated.
    """
    board = _Board(hosts, scorer)
    return [board.place(request) for request in requests], board.given()


class _Board:
    """The hosts while one list of requests is placed."""

    def __init__(self, hosts: Sequence[Host], scorer: Scorer) -> None:
        self._before = {host.id: host for host in hosts}
        self._now = dict(self._before)
        self._next_turn = max((host.turn for host in hosts), default=0) + 1
        self._scorer = scorer
        self._fits: dict[tuple[str, str], tuple[list[str], str]] = {}

    def place(self, request: Request) -> Placement:
        fitting, reason = self._fitting(request)
        if not fitting:
            return Placement(request.id, None, reason)
        candidates = [host_id for host_id in fitting if host_id != request.avoid] or fitting
        chosen = min((self._now[host_id] for host_id in candidates), key=lambda host: (*self._scorer(host), host.name))
        self._now[chosen.id] = replace(chosen, load=chosen.load + 1, turn=self._next_turn)
        self._next_turn += 1
        return Placement(request.id, chosen.id)

    def given(self) -> list[Host]:
        return [host for host_id, host in self._now.items() if host is not self._before[host_id]]

    def _fitting(self, request: Request) -> tuple[list[str], str]:
        """Judged once for all requests that ask for the same: what is judged does not change while placing."""
        key = (request.on, request.executor)
        if key not in self._fits:
            self._fits[key] = self._judge(request)
        return self._fits[key]

    def _judge(self, request: Request) -> tuple[list[str], str]:
        expression = parse(request.on)
        fitting, refusals = [], []
        for host in self._before.values():
            reason = next(filter(None, (refuse(request, expression, host) for refuse in FILTERS)), "")
            if reason:
                refusals.append((host.name, reason))
            else:
                fitting.append(host.id)
        return fitting, "" if fitting else summary(refusals)


def summary(refusals: Iterable[tuple[str, str]]) -> str:
    """Who refused and why, grouped by reason and cut to a readable length."""
    names: dict[str, list[str]] = {}
    for name, reason in refusals:
        names.setdefault(reason, []).append(name)
    if not names:
        return "no worker has ever connected"
    parts = [f"{_several(hosts)}: {reason}" for reason, hosts in list(names.items())[:REASONS_SHOWN]]
    rest = len(names) - REASONS_SHOWN
    return "no worker fits: " + "; ".join(parts) + (f"; and {rest} more reasons" if rest > 0 else "")


def _several(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_PER_REASON])
    return shown if len(names) <= NAMES_PER_REASON else f"{shown} and {len(names) - NAMES_PER_REASON} more"
