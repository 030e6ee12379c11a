"""Chooses a worker for each request: filters say who cannot take it and why, a scorer says who takes it.

Invariant: a request without a worker comes back with the reason that every worker gave; the inputs are never changed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from workers.core.expressions import Expression, parse
from workers.core.hosts import Host
from workers.core.scorers import Draw, Scorer

NAMES_PER_REASON = 3
REASONS_SHOWN = 5


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
    """The worker's id for a request and why it takes it, or None and why it waits."""

    request_id: str
    host_id: str | None
    reason: str = ""


Filter = Callable[[Request, Expression, Host], str]
Refusals = list[tuple[str, str]]


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


FILTERS: tuple[Filter, ...] = (refuse_unlike, refuse_disconnected, refuse_draining, refuse_without_executor)


def place(
    requests: Sequence[Request], hosts: Sequence[Host], scorer: Scorer, draw: Draw
) -> tuple[list[Placement], list[Host]]:
    """Places requests in the order given. Returns the placements, and the hosts that were given something as they are
    then. Raises ExpressionError for an `on` that was not validated.
    """
    board = _Board(hosts, scorer, draw)
    return [board.place(request) for request in requests], board.given()


class _Board:
    """The hosts while one list of requests is placed."""

    def __init__(self, hosts: Sequence[Host], scorer: Scorer, draw: Draw) -> None:
        self._before = {host.id: host for host in hosts}
        self._now = dict(self._before)
        self._next_turn = max((host.turn for host in hosts), default=0) + 1
        self._scorer = scorer
        self._draw = draw
        self._fits: dict[tuple[str, str], tuple[list[str], Refusals]] = {}

    def place(self, request: Request) -> Placement:
        fitting, refusals = self._fitting(request)
        if not fitting:
            return Placement(request.id, None, summary(refusals))
        candidates = [host_id for host_id in fitting if host_id != request.avoid] or fitting
        hosts = (self._now[host_id] for host_id in candidates)
        chosen = min(hosts, key=lambda host: (*self._scorer.score(host, self._draw), host.name))
        self._now[chosen.id] = replace(chosen, load=chosen.load + 1, turn=self._next_turn)
        self._next_turn += 1
        self._close(chosen.id)
        only = len(candidates) == 1
        return Placement(request.id, chosen.id, "no other fits" if only else self._scorer.reason)

    def given(self) -> list[Host]:
        return [host for host_id, host in self._now.items() if host is not self._before[host_id]]

    def _close(self, host_id: str) -> None:
        """A worker that has just become full is taken out of what was judged."""
        host = self._now[host_id]
        if self._scorer.room(host):
            return
        for fitting, refusals in self._fits.values():
            if host_id in fitting:
                fitting.remove(host_id)
                refusals.append((host.name, self._scorer.full(host)))

    def _fitting(self, request: Request) -> tuple[list[str], Refusals]:
        """Judged once for all requests that ask for the same: besides room, nothing changes while placing."""
        key = (request.on, request.executor)
        if key not in self._fits:
            self._fits[key] = self._judge(request)
        return self._fits[key]

    def _judge(self, request: Request) -> tuple[list[str], Refusals]:
        expression = parse(request.on)
        fitting: list[str] = []
        refusals: Refusals = []
        for host in self._now.values():
            reason = next(filter(None, (refuse(request, expression, host) for refuse in FILTERS)), "")
            if not reason and not self._scorer.room(host):
                reason = self._scorer.full(host)
            if reason:
                refusals.append((host.name, reason))
            else:
                fitting.append(host.id)
        return fitting, refusals


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
