"""Which waiting components can never start, once nothing runs and nothing is ready: the others go on without them.

Invariant: afterwards either something is ready or nothing waits, so the graph comes to its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphs.core.rules import Standing, blockers, can_be_met


@dataclass(frozen=True)
class Drain:
    """`skipped` with the reason of each, and the blockers of those that go on waiting."""

    skipped: Mapping[str, str]
    blockers: Mapping[str, int]


def drain(
    rules: Mapping[str, str], needed: Mapping[str, Sequence[str]], over: Mapping[str, Standing], started: Sequence[str]
) -> Drain:
    """What becomes of waiting components, given by id with their rules; linear in them and their edges.

    `needed` are the ids that each depends on, `over` how those that do not wait stand, `started` the rules whose
    components may start in this graph now.
    """
    standings = {**over, **dict.fromkeys(rules, Standing.OPEN)}
    dependants: dict[str, list[str]] = {}
    for name in rules:
        for one in needed.get(name, ()):
            dependants.setdefault(one, []).append(name)
    skipped: dict[str, str] = {}
    pending = list(rules)
    while pending:
        name = pending.pop()
        found = [standings[one] for one in needed.get(name, ())]
        why = _why_never(rules[name], found, started)
        if why and name not in skipped:
            skipped[name] = why
            standings[name] = Standing.OVER
            pending += [one for one in dependants.get(name, ()) if one not in skipped]
    left = {name: rule for name, rule in rules.items() if name not in skipped}
    return Drain(
        skipped, {name: blockers(rule, [standings[one] for one in needed.get(name, ())]) for name, rule in left.items()}
    )


def _why_never(rule: str, needed: Sequence[Standing], started: Sequence[str]) -> str:
    """Why a component never starts; empty where it may."""
    if rule not in started:
        return f"the graph starts nothing more with the rule {rule}"
    if not can_be_met(rule, needed):
        return f"its rule {rule} can never be met: what it depends on has ended otherwise"
    return ""
