"""Why a component is not done: what it waits for itself, and through that the causes at the root.

Invariant: the root causes depend on nothing unfinished, so dealing with them lets things go on. Of a picture that is
cut off, none is told that may depend on something outside of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphs.core.rules import ALL_COMPLETED, Standing, standing


@dataclass(frozen=True)
class Known:
    """What is told of one component of the graph. `note` says what holds it up besides what it depends on.

    `held`: it waits for something that it depends on, be that in the picture or not.
    """

    state: str
    reason: str = ""
    rule: str = ALL_COMPLETED
    decided_by: str = ""
    note: str = ""
    held: bool = False


@dataclass(frozen=True)
class Cause:
    """A component that others wait for."""

    component_id: str
    state: str
    reason: str


@dataclass(frozen=True)
class Why:
    """`summary` in a sentence; `nearest` are the unfinished dependencies, `roots` what they wait for in the end."""

    component_id: str
    state: str
    summary: str
    nearest: tuple[Cause, ...] = ()
    roots: tuple[Cause, ...] = ()


def explain(
    component_id: str,
    known: Mapping[str, Known],
    needed: Mapping[str, Sequence[str]],
    holds: str,
    cut_at: int = 0,
    elsewhere: Sequence[Cause] = (),
) -> Why:
    """Why this component stands as it does. `holds` is why its graph starts nothing now; empty where it does.

    `cut_at` is how many components the picture has where more are in the way, 0 where it is whole. `elsewhere` is what
    the graph as a whole waits for, told where the picture shows no root.
    """
    one = known[component_id]
    if one.state == "running":
        return Why(component_id, one.state, one.note or "its provider has not answered yet")
    if one.state != "waiting":
        return Why(component_id, one.state, one.reason or f"it is {one.state}")
    nearest = _missing(component_id, known, needed)
    if not nearest:
        return Why(component_id, one.state, one.note or holds or "it is ready, and is started at once")
    roots = [name for name in _roots(nearest, known, needed) if not (cut_at and known[name].held)]
    names = ", ".join(f"{name} ({known[name].state})" for name in nearest[:5])
    more = f" and {len(nearest) - 5} more" if len(nearest) > 5 else ""
    summary = f"it waits for {names}{more}"
    if holds:
        summary += f"; and {holds}"
    causes = _causes(roots, known)
    if cut_at:
        summary += f"; more than {cut_at} components are in the way"
        causes = causes or tuple(elsewhere)
    return Why(component_id, one.state, summary, _causes(nearest, known), causes)


def _missing(name: str, known: Mapping[str, Known], needed: Mapping[str, Sequence[str]]) -> list[str]:
    """The dependencies that the component's rule is still missing."""
    wanted = Standing.PASSED if known[name].rule in (ALL_COMPLETED, "any") else Standing.OVER
    found = list(dict.fromkeys(needed.get(name, ())))
    standings = {one: standing(known[one].state, known[one].decided_by) for one in found}
    if known[name].rule == "any" and Standing.PASSED in standings.values():
        return []
    return [one for one in found if standings[one] < wanted]


def _roots(names: Sequence[str], known: Mapping[str, Known], needed: Mapping[str, Sequence[str]]) -> list[str]:
    found: list[str] = []
    seen = set(names)
    pending = list(names)
    while pending:
        name = pending.pop()
        above = _missing(name, known, needed) if known[name].state == "waiting" else []
        if not above:
            found.append(name)
        new = [one for one in above if one not in seen]
        seen.update(new)
        pending += new
    return found


def _causes(names: Sequence[str], known: Mapping[str, Known]) -> tuple[Cause, ...]:
    return tuple(Cause(name, known[name].state, known[name].note or known[name].reason) for name in names)
