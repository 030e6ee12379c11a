"""Compares a wanted graph with what exists, and makes the graph that leads from the one to the other.

Invariants: its inputs are never changed; each component is created, updated, deleted, replaced or left alone for a
reason in the changelog; deletes run before those of what they need, everything else after.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphs.core import words
from graphs.core.comparing import Difference, differences
from graphs.core.merge import merged
from graphs.core.values import shown
from graphs.core.wanted import Existing, Wanted, read_existing, read_wanted
from graphs.core.wiring import Wiring, rows_of
from scheduler_project.toolkit.errors import Fault, InvalidDocument

GROUP_TAG = "ernest.instance_group"
OLD_SUFFIX = "~replaced"
ALWAYS_IMMUTABLE = (words.TYPE_KEY, words.PROVIDER_KEY)
NEW_VERBS = ("find", "get")


@dataclass(frozen=True)
class Rules:
    """`group_tag`: components with the same value of this tag are updated one by one.

    `replaces`: a changed immutable field deletes and creates its component; without it, it is refused.
    """

    group_tag: str = GROUP_TAG
    replaces: bool = False


RULES = Rules()


@dataclass(frozen=True)
class GraphDiff:
    """What differs, and the mapping that does something about it."""

    counts_by_verb: dict[str, int]
    unchanged: int
    changelog: tuple[Difference, ...]
    mapping: dict[str, Any]


def diff(wanted: Any, against: Any, rules: Rules = RULES) -> GraphDiff:
    """The graph that makes `against` (a mapping, of which `components` exist; None for nothing) what is wanted.

    Raises InvalidDocument with every fault.
    """
    faults: list[Fault] = []
    want = read_wanted(wanted, faults)
    have = read_existing(against, faults)
    if faults:
        raise InvalidDocument(faults)
    steps = _Steps(want, have, rules)
    steps.take()
    if steps.faults:
        raise InvalidDocument(steps.faults)
    return steps.result()


@dataclass
class _Steps:
    """Decides component by component, those first that others need."""

    want: Wanted
    have: Existing
    rules: Rules
    faults: list[Fault] = field(default_factory=list)
    changelog: dict[str, list[Difference]] = field(default_factory=dict)
    verbs: dict[str, str] = field(default_factory=dict)
    old_names: dict[str, str] = field(default_factory=dict)

    def take(self) -> None:
        for component_id in self.want.order:
            if self.want.verb(component_id) == "none":
                continue
            if component_id in self.have.documents:
                self.compare(component_id)
            else:
                verb = self.want.verb(component_id)
                self.decide(component_id, verb if verb in NEW_VERBS else "create")
        for component_id in self.have.documents:
            if self.goes(component_id):
                self.decide(component_id, "delete")

    def goes(self, component_id: str) -> bool:
        """Whether something that exists is no longer wanted; what keeps no state has nothing to be deleted."""
        document = self.have.documents[component_id]
        stateful = document.get(words.STATEFUL_KEY) is not False
        return component_id not in self.want.documents and stateful and document.get(words.VERB_KEY) != "none"

    def decide(self, component_id: str, verb: str) -> None:
        self.verbs[component_id] = verb
        if verb in ("create", "delete"):
            self.changelog[component_id] = [Difference(verb, (component_id,), None, None)]

    def compare(self, component_id: str) -> None:
        found = differences(component_id, self.want, self.have, frozenset(self.old_names))
        if not found:
            return
        self.changelog[component_id] = found
        fixed = {*ALWAYS_IMMUTABLE, *self.immutable_fields(component_id)}
        broken = [one for one in found if one.path[1] in fixed]
        if not broken:
            self.decide(component_id, "update")
            return
        if not self.rules.replaces:
            self.faults += [self.refusal(component_id, one) for one in broken]
            return
        self.old_names[component_id] = self.free_name(component_id)
        self.decide(component_id, "create")
        self.changelog[component_id] = [Difference("replace", (component_id,), None, None), *found]

    def immutable_fields(self, component_id: str) -> list[str]:
        documents = (self.want.documents[component_id], self.have.documents[component_id])
        return [name for one in documents for name in one.get(words.IMMUTABLE_KEY) or () if isinstance(name, str)]

    def refusal(self, component_id: str, broken: Difference) -> Fault:
        why = f"of {shown(component_id)!r} cannot be changed once it exists; have it replaced, or take the old value"
        return Fault(f"{self.want.paths[component_id]}.{shown(broken.path[1])}", why)

    def free_name(self, component_id: str) -> str:
        name = component_id[: words.ID_LENGTH_MAX - len(OLD_SUFFIX) - 1] + OLD_SUFFIX
        while name in self.have.documents or name in self.want.documents or name in self.old_names.values():
            name += "~"
        return name

    def result(self) -> GraphDiff:
        changes = self.changes()
        counts = Counter(str(change[words.VERB_KEY]) for change in changes.values())
        touched = len(self.verbs)
        helpers = sum(self.want.verb(component_id) == "none" for component_id in self.want.documents)
        known = len(self.want.documents) + sum(self.goes(one) for one in self.have.documents)
        changelog = tuple(one for found in self.changelog.values() for one in found)
        return GraphDiff(
            counts_by_verb=dict(sorted(counts.items())),
            unchanged=known - touched - helpers,
            changelog=changelog,
            mapping=self.mapping(changes, changelog),
        )

    def changes(self) -> dict[str, dict[str, Any]]:
        """What is to be done, in the order of what is wanted and then of what exists; the old of a replacement last."""
        found: dict[str, dict[str, Any]] = {}
        for component_id in self.want.documents:
            if component_id in self.verbs:
                found[component_id] = self.change(component_id)
        for component_id, document in self.have.documents.items():
            if self.verbs.get(component_id) == "delete" or component_id in self.old_names:
                name = self.old_names.get(component_id, component_id)
                found[name] = _to_do(document, "delete") | {words.ID_KEY: name}
        return found

    def change(self, component_id: str) -> dict[str, Any]:
        verb = self.verbs[component_id]
        document = self.want.documents[component_id]
        if verb == "update":
            document = merged(self.have.documents[component_id], document)
        return _to_do(document, verb) | self.recorded_needs(component_id)

    def recorded_needs(self, component_id: str) -> dict[str, Any]:
        """Kept with the component, so that it can be deleted in the right order one day."""
        needs = self.want.needs.get(component_id)
        return {words.DEPENDS_KEY: list(needs)} if needs else {}

    def mapping(self, changes: Mapping[str, dict[str, Any]], changelog: Sequence[Difference]) -> dict[str, Any]:
        default = "build.delete" if not self.want.documents else words.DEFAULT_ACTION
        top = {"action": default} | self.want.top
        if top.get("id") == self.have.graph_id:
            top.pop("id", None)
        return top | {
            "components": list(self.existing().values()),
            "changes": list(changes.values()),
            "edges": [
                {"source": edge.source, "destination": edge.destination, "length": edge.length}
                for edge in self.wiring(changes).edges()
            ],
            "changelog": [one.document() for one in changelog],
        }

    def existing(self) -> dict[str, dict[str, Any]]:
        """What exists before the graph runs, and helpers that are only read."""
        found: dict[str, dict[str, Any]] = {}
        for component_id, document in self.have.documents.items():
            name = self.old_names.get(component_id, component_id)
            found[name] = dict(document) | {words.ID_KEY: name} | self.recorded_needs(component_id)
        for component_id, wanted in self.want.documents.items():
            if self.want.verb(component_id) == "none":
                found[component_id] = dict(wanted)
        return found

    def wiring(self, changes: Mapping[str, Mapping[str, Any]]) -> Wiring:
        needs: list[tuple[str, str]] = []
        for component_id in self.want.documents:
            if component_id in self.verbs:
                needs += [(one, component_id) for one in self.want.needs[component_id] if one in changes]
        for component_id, known in self.have.needs.items():
            needed = known or self.want.needs.get(component_id, ())
            name = self.old_names.get(component_id, component_id)
            if name in changes and changes[name][words.VERB_KEY] == "delete":
                olds = (self.old_names.get(one, one) for one in needed)
                needs += [(name, one) for one in olds if one in changes]
        needs += [(old, new) for new, old in self.old_names.items()]
        siblings = {name: [f"after {one}" for one in _sequential(change)] for name, change in changes.items()}
        groups = {name: self.group(change) for name, change in changes.items() if change[words.VERB_KEY] == "update"}
        return Wiring(list(changes), needs, [*rows_of(siblings), *rows_of(groups)])

    def group(self, change: Mapping[str, Any]) -> list[str]:
        tags = change.get("tags")
        tagged = tags.get(self.rules.group_tag) if isinstance(tags, Mapping) else None
        return [str(one) for one in (change.get(words.GROUPED_KEY) or tagged,) if one]


def _sequential(change: Mapping[str, Any]) -> list[str]:
    return [one for one in change.get(words.SEQUENTIAL_KEY) or () if isinstance(one, str)]


def _to_do(document: Mapping[str, Any], verb: str) -> dict[str, Any]:
    """A change made of a document, without what an earlier run left in it."""
    kept = {key: value for key, value in document.items() if key not in (words.GRAPH_KEY, words.ERROR_KEY)}
    return kept | {words.VERB_KEY: verb, words.STATE_KEY: "waiting"}
