"""What resuming a graph, or retrying one component, does to its components, as a plan that can be shown before.

Invariant: a resume never resets what is completed or was skipped by hand; what may have been carried out, by a verb
that is not safe to repeat, is not reset by it but left to a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Past:
    """What has become of a component. `silent`: nobody knows. `resendable`: carried out twice, it does no harm."""

    state: str
    attempt: int = 0
    silent: bool = False
    resendable: bool = True
    needs_attention: bool = False
    by_hand: bool = False


@dataclass(frozen=True)
class Reset:
    """A component's state before, `state` after, and why. One that becomes running needs a person's attention."""

    component_id: str
    before: str
    state: str
    reason: str


@dataclass(frozen=True)
class Reopening:
    """All that is reset, and why it cannot be done, empty where it can."""

    resets: tuple[Reset, ...]
    refused: str = ""


def resume(changes: Mapping[str, Past]) -> Reopening:
    """Everything that did not come to a good end is to be done again."""
    resets: list[Reset] = []
    for name, past in changes.items():
        if past.state not in ("errored", "cancelled", "skipped") or (past.state == "skipped" and past.by_hand):
            continue
        if past.silent and not past.resendable:
            why = f"attempt {past.attempt} may have been carried out; a person must decide"
            resets.append(Reset(name, past.state, "running", why))
        else:
            resets.append(Reset(name, past.state, "waiting", "resumed"))
    return Reopening(tuple(resets))


def retry(changes: Mapping[str, Past], dependants: Mapping[str, Sequence[str]], component_id: str) -> Reopening:
    """One component is to be done again, and all that hangs from it, whatever became of it."""
    found = _with_all_after(component_id, dependants)
    in_flight = [
        name
        for name in found
        if changes[name].state == "running" and not (name == component_id and changes[name].needs_attention)
    ]
    if in_flight:
        return Reopening((), f"{', '.join(in_flight[:5])} is in flight; wait for it, or mark it first")
    resets = []
    for name in found:
        why = "retried" if name == component_id else f"what it depends on is done again: {component_id}"
        if name == component_id or changes[name].state != "waiting":
            resets.append(Reset(name, changes[name].state, "waiting", why))
    return Reopening(tuple(resets))


def _with_all_after(component_id: str, dependants: Mapping[str, Sequence[str]]) -> list[str]:
    """A component and all that hangs from it, in the order in which they are met."""
    found = [component_id]
    seen = {component_id}
    for name in found:
        for one in dependants.get(name, ()):
            if one not in seen:
                seen.add(one)
                found.append(one)
    return found
