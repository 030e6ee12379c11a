"""Reads a graph's mapping and refuses it, with every fault and its path, before anything of it runs.

Invariant: a `GraphSpec` has unique ids, edges between known ids only, no cycle, and every component to be carried out
is reached from `start` or from something that exists already. So each graph can come to its end.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphs.core import words
from graphs.core.edges import EdgeSpec, circle_fault, dependencies_in, read_edges, unreached
from graphs.core.heading import read_head
from graphs.core.nesting import own_part
from graphs.core.order import find_cycles, levels, not_before
from graphs.core.policy import Policy, policy_faults, policy_of
from graphs.core.references import Actor, Reading, World, references
from graphs.core.rules import ALL_COMPLETED
from graphs.core.templating import ERNEST, Templating, templating_of
from graphs.core.values import kind_of, shown, value_faults
from scheduler_project.toolkit.collector import collector_at_rest
from scheduler_project.toolkit.errors import Fault, InvalidDocument

LISTS = ("components", "changes", "edges")
FAULTS_MAX = 1000
KNOWN_KEYS = frozenset({"id", "name", "user_id", "username", "action", "options", "components", "changes", "edges"})
INITIAL_STATES = ("waiting", "running", "completed", "errored")
NOT_IN_TOKEN = re.compile(r"[\s.*>\x00-\x1f\x7f]")

ProviderFaults = Callable[[str, Mapping[str, Any], str], Sequence[Fault]]


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One component as given, at `path`. Type, verb and provider may be templates until it is sent."""

    component_id: str
    type: str
    verb: str
    provider: str
    state: str
    document: Mapping[str, Any]
    path: str

    @property
    def policy(self) -> Policy:
        """Its attempts, delays and deadlines."""
        return policy_of(self.document)

    @property
    def rule(self) -> str:
        """When it may start."""
        return str(self.document.get(words.RULE_KEY) or ALL_COMPLETED)


@dataclass(frozen=True)
class GraphSpec:
    """A valid mapping. `extra` holds the top-level keys that we do not know, to be carried through.

    `dependencies` are for each change the changes that it waits for, `levels` their order (those of a level wait for
    earlier ones only), and `readings` what templates read.
    """

    id: str
    name: str
    action: str
    user_id: int | None
    username: str
    options: Mapping[str, Any] | None
    extra: Mapping[str, Any]
    components: tuple[ComponentSpec, ...]
    changes: tuple[ComponentSpec, ...]
    edges: tuple[EdgeSpec, ...]

    dependencies: Mapping[str, set[str]]
    levels: Sequence[Sequence[str]]
    readings: Sequence[Reading]

    @property
    def parallel(self) -> int:
        """How many of its components may run at the same time; 0 for any number."""
        return int((self.options or {}).get(words.PARALLEL_OPTION) or 0)


def no_provider_faults(provider: str, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
    """For readers that do not know the providers."""
    return ()


def parse(document: Any, new_id: str, provider_faults: ProviderFaults = no_provider_faults) -> GraphSpec:
    """The graph of a mapping; `new_id` is its id where it has none. Raises InvalidDocument with every fault."""
    if not isinstance(document, Mapping):
        raise InvalidDocument([Fault("", f"the mapping must be a JSON object, not {kind_of(document)}")])
    with collector_at_rest():
        return _read(document, new_id, provider_faults)


def _read(document: Mapping[str, Any], new_id: str, provider_faults: ProviderFaults) -> GraphSpec:
    faults = value_faults({key: document[key] for key in document if key not in LISTS}, "")
    head = read_head(document, new_id, faults)
    extra = {key: value for key, value in document.items() if key not in KNOWN_KEYS}
    templating = templating_of(head.options)
    components = read_components(document, "components", faults)
    changes = read_components(document, "changes", faults)
    for change in changes:
        faults += _change_faults(change, provider_faults, templating)
    edges = read_edges(read_items(document, "edges", faults), _ids((*components, *changes)), faults)
    dependencies = dependencies_in(edges, _ids(changes))
    order = levels(dependencies)
    faults += _order_faults(changes, edges, dependencies, order)
    existing = {component.component_id: component.document for component in components}
    world = World(templating, head.mapping() | extra, existing, _actors(changes), dependencies)
    readings = _readings(world, order, faults)
    if faults:
        raise InvalidDocument(faults[:FAULTS_MAX] + _left_out(len(faults)))
    return GraphSpec(
        **vars(head),
        extra=extra,
        components=tuple(components),
        changes=tuple(changes),
        edges=edges,
        dependencies=dependencies,
        levels=order,
        readings=readings,
    )


def _ids(components: Iterable[ComponentSpec]) -> list[str]:
    return [component.component_id for component in components]


def _left_out(count: int) -> list[Fault]:
    return [Fault("", f"and {count - FAULTS_MAX} more faults")] if count > FAULTS_MAX else []


def read_items(document: Mapping[str, Any], key: str, faults: list[Fault]) -> list[tuple[int, Mapping[str, Any]]]:
    """The objects of a list with their positions; what is no object is a fault."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        faults.append(Fault(key, f"must be a list, not {kind_of(value)}"))
        return []
    found = []
    for index, item in enumerate(value):
        if type(item) is dict or isinstance(item, Mapping):
            found.append((index, item))
        else:
            faults.append(Fault(f"{key}[{index}]", f"must be an object, not {kind_of(item)}"))
    return found


def read_components(document: Mapping[str, Any], part: str, faults: list[Fault]) -> list[ComponentSpec]:
    """The components of a list, each id once. What is wrong is added to `faults`."""
    found: dict[str, ComponentSpec] = {}
    for index, item in read_items(document, part, faults):
        path = f"{part}[{index}]"
        faults += value_faults(item, path)
        component_id = _component_id(item, path, faults)
        if not component_id:
            continue
        if component_id in found:
            before = found[component_id].path
            faults.append(Fault(f"{path}.{words.ID_KEY}", f"{shown(component_id)!r} is also the id of {before}"))
            continue
        found[component_id] = _component(item, component_id, path)
    return list(found.values())


def _component_id(item: Mapping[str, Any], path: str, faults: list[Fault]) -> str:
    value = item.get(words.ID_KEY)
    where = f"{path}.{words.ID_KEY}"
    if not isinstance(value, str) or not value:
        faults.append(Fault(where, "is missing" if value in (None, "") else f"must be a string, not {kind_of(value)}"))
        return ""
    if len(value) > words.ID_LENGTH_MAX:
        faults.append(Fault(where, f"longer than {words.ID_LENGTH_MAX} characters"))
    if not value.isprintable():
        faults.append(Fault(where, "may not hold control characters or others that cannot be seen"))
    if value in (words.START, words.END):
        faults.append(Fault(where, f"{value!r} is reserved for edges; choose another id"))
    return value


def _component(item: Mapping[str, Any], component_id: str, path: str) -> ComponentSpec:
    return ComponentSpec(
        component_id=component_id,
        type=_word(item, words.TYPE_KEY)[: words.NAME_LENGTH_MAX],
        verb=_word(item, words.VERB_KEY)[: words.NAME_LENGTH_MAX],
        provider=_word(item, words.PROVIDER_KEY)[: words.NAME_LENGTH_MAX],
        state=_word(item, words.STATE_KEY) or "waiting",
        document=item,
        path=path,
    )


def _word(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _change_faults(change: ComponentSpec, provider_faults: ProviderFaults, templating: Templating) -> list[Fault]:
    faults: list[Fault] = []
    for key in (words.TYPE_KEY, words.VERB_KEY, words.PROVIDER_KEY):
        problem = token_problem(change.document.get(key), templating)
        if problem:
            faults.append(Fault(f"{change.path}.{key}", problem))
    given = change.document.get(words.STATE_KEY)
    if given not in (None, "", *INITIAL_STATES):
        told = f"{shown(given)} is none of {', '.join(INITIAL_STATES)}"
        faults.append(Fault(f"{change.path}.{words.STATE_KEY}", told))
    faults += policy_faults(change.document, change.path)
    if not faults:
        faults += provider_faults(change.provider, change.document, change.path)
    return faults


def token_problem(value: Any, templating: Templating = ERNEST) -> str:
    """Why a value cannot be one token of a NATS subject; empty when it can, or when it is a template."""
    if value is None or value == "":
        return "is missing"
    if not isinstance(value, str):
        return f"must be a string, not {kind_of(value)}"
    later = templating.holds(value)
    limit = words.NAME_LENGTH_MAX if later else words.TOKEN_LENGTH_MAX
    if len(value) > limit:
        return f"longer than {limit} characters"
    if not later and NOT_IN_TOKEN.search(value):
        return f"{shown(value)} would break a subject: no spaces, dots, * or > and no control characters"
    return ""


def _order_faults(
    changes: Sequence[ComponentSpec],
    edges: Sequence[EdgeSpec],
    dependencies: Mapping[str, set[str]],
    order: Sequence[Sequence[str]],
) -> list[Fault]:
    """Changes that nothing leads to, and circles."""
    alone = unreached(edges, _ids(changes))
    faults = [
        Fault(
            change.path,
            f"nothing leads to {shown(change.component_id)!r}, so it would never start; "
            "add an edge to it from `start` or from what it depends on",
        )
        for change in changes
        if change.component_id in alone and change.state == "waiting"
    ]
    return faults + [circle_fault(cycle) for cycle in find_cycles(dependencies, order)]


def _actors(changes: Iterable[ComponentSpec]) -> dict[str, Actor]:
    return {
        change.component_id: Actor(own_part(change.document), change.verb, change.path, change.state == "completed")
        for change in changes
    }


def _readings(world: World, order: Sequence[Sequence[str]], faults: list[Fault]) -> Sequence[Reading]:
    """What templates read. Those that could never be filled in are added to `faults`."""
    found = references(world)
    faults += found.faults
    apart = not_before([pair for pair, _ in found.needed], world.dependencies, order)
    faults += [fault for pair, fault in found.needed if pair in apart]
    return found.readings
