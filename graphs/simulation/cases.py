"""Makes up what a simulated history builds: graphs of a few components, with every rule and policy now and then.

Invariant: the same random source gives the same mappings, and each of them is valid.
"""

from dataclasses import dataclass
from random import Random
from typing import Any

from graphs.core.rules import ALL_COMPLETED, RULES

COMPONENTS_MIN, COMPONENTS_MAX = 2, 9
NEEDS_MAX = 3
RULED_SHARE = 0.3
VERBS = ("create", "update", "delete", "get")


@dataclass(frozen=True)
class Case:
    """One graph to be built: its mapping, and for each component what it needs and by which rule."""

    mapping: dict[str, Any]
    needs: dict[str, tuple[str, ...]]
    rules: dict[str, str]

    @property
    def id(self) -> str:
        """The graph's id."""
        return str(self.mapping["id"])


def make_case(random: Random, graph_id: str, *, patient: bool) -> Case:
    """A graph whose components each need some of those before them. A `patient` one waits for replies for ever."""
    names = [f"thing::{number}" for number in range(random.randint(COMPONENTS_MIN, COMPONENTS_MAX))]
    ruled = random.random() < RULED_SHARE
    needs = {
        name: tuple(random.sample(names[:position], random.randint(0, min(position, NEEDS_MAX))))
        for position, name in enumerate(names)
    }
    rules = {name: random.choice(RULES) if ruled and needs[name] else ALL_COMPLETED for name in names}
    mapping: dict[str, Any] = {
        "id": graph_id,
        "action": "build.create",
        "changes": [_change(random, name, rules[name], patient) for name in names],
        "edges": [
            {"source": source, "destination": name, "length": 1}
            for name in names
            for source in (needs[name] or ("start",))
        ],
    }
    if random.random() < 0.2:
        mapping["options"] = {"parallel": random.randint(1, 3)}
    return Case(mapping, needs, rules)


def _change(random: Random, name: str, rule: str, patient: bool) -> dict[str, Any]:
    """A component that is sent until it answers, or gives up after a few attempts."""
    policy: dict[str, Any] = {"_attempts": random.randint(1, 4)}
    if not patient:
        policy["_timeout_s"] = random.randint(5, 20)
    if random.random() < 0.5:
        policy["_resend"] = "always"
    if random.random() < 0.3:
        policy["_retry_delay_s"] = random.randint(1, 5)
    if rule != ALL_COMPLETED:
        policy["_rule"] = rule
    return {
        "_component": "thing",
        "_component_id": name,
        "_action": random.choice(VERBS),
        "_provider": "far",
        **policy,
    }
