"""Reads a graph's mapping and refuses it, with every fault and its path, before anything of it runs.

Invariant: a `GraphSpec` has unique ids, edges between known ids only, no cycle, and every component to be carried out
is reached from `start` or from something that exists already. So each graph can come to its end.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphs.core import words
from graphs.core.order import find_cycle
from graphs.core.templating import is_template
from graphs.core.values import value_faults
from scheduler_project.toolkit.errors import Fault, InvalidDocument

KNOWN_KEYS = frozenset({"id", "name", "user_id", "username", "action", "options", "components", "changes", "edges"})
INITIAL_STATES = ("waiting", "running", "completed", "errored")
NOT_IN_TOKEN = re.compile(r"[\s.*>\x00-\x1f\x7f]")
NOT_IN_GRAPH_ID = re.compile(r"[\s/\x00-\x1f\x7f]")

ProviderFaults = Callable[[str, Mapping[str, Any], str], Sequence[Fault]]


@dataclass(frozen=True)
class ComponentSpec:
    """One component as given. Type, verb and provider may be templates until it is sent."""

    component_id: str
    type: str
    verb: str
    provider: str
    state: str
    document: Mapping[str, Any]

    @property
    def timeout_s(self) -> float:
        """How long a reply is awaited; 0 where the component does not say."""
        return float(self.document.get(words.TIMEOUT_KEY) or 0)

    @property
    def attempts(self) -> int:
        """How often it is sent, in all, while no reply comes in time."""
        return int(self.document.get(words.ATTEMPTS_KEY) or 1)


@dataclass(frozen=True)
class EdgeSpec:
    """`source` is completed before `destination` starts; `start` and `end` are allowed for them."""

    source: str
    destination: str
    length: int = 1


@dataclass(frozen=True)
class GraphSpec:
    """A valid mapping. `extra` holds the top-level keys that we do not know, to be carried through."""

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

    def dependencies(self) -> dict[str, set[str]]:
        """For each change the ids of the changes that it waits for."""
        found: dict[str, set[str]] = {change.component_id: set() for change in self.changes}
        for edge in self.edges:
            if edge.source in found and edge.destination in found:
                found[edge.destination].add(edge.source)
        return found


def no_provider_faults(provider: str, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
    """For readers that do not know the providers."""
    return ()


def parse(document: Any, new_id: str, provider_faults: ProviderFaults = no_provider_faults) -> GraphSpec:
    """The graph of a mapping; `new_id` is its id where it has none. Raises InvalidDocument with every fault."""
    if not isinstance(document, Mapping):
        raise InvalidDocument([Fault("", f"the mapping must be a JSON object, not {_kind(document)}")])
    faults = value_faults({key: document[key] for key in document if key not in ("components", "changes")}, "")
    top = _Top(document, faults)
    components = _components(document, "components", faults)
    changes = _components(document, "changes", faults)
    for index, change in changes:
        faults += _change_faults(change, f"changes[{index}]", provider_faults)
    spec = GraphSpec(
        id=top.graph_id(new_id),
        name=top.text("name"),
        action=top.action(),
        user_id=top.user_id(),
        username=top.text("username"),
        options=top.options(),
        extra={key: value for key, value in document.items() if key not in KNOWN_KEYS},
        components=tuple(component for _, component in components),
        changes=tuple(change for _, change in changes),
        edges=_edges(document, faults),
    )
    faults += _edge_faults(spec, [index for index, _ in changes])
    if faults:
        raise InvalidDocument(faults)
    return spec


class _Top:
    """Reads the top-level fields and collects their faults."""

    def __init__(self, document: Mapping[str, Any], faults: list[Fault]) -> None:
        self.document = document
        self.faults = faults

    def text(self, key: str) -> str:
        value = self.document.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.faults.append(Fault(key, f"must be a string, not {_kind(value)}"))
            return ""
        if len(value) > words.NAME_LENGTH_MAX:
            self.faults.append(Fault(key, f"longer than {words.NAME_LENGTH_MAX} characters"))
        return value

    def graph_id(self, new_id: str) -> str:
        value = self.document.get("id")
        if value is None or value == "":
            return new_id
        if not isinstance(value, str):
            self.faults.append(Fault("id", f"must be a string, not {_kind(value)}"))
        elif len(value) > words.ID_LENGTH_MAX:
            self.faults.append(Fault("id", f"longer than {words.ID_LENGTH_MAX} characters"))
        elif NOT_IN_GRAPH_ID.search(value):
            self.faults.append(Fault("id", "may not hold spaces, slashes or control characters"))
        return str(value)

    def action(self) -> str:
        value = self.document.get("action") or words.DEFAULT_ACTION
        prefix, _, verb = value.partition(".") if isinstance(value, str) else ("", "", "")
        if prefix not in ("build", "service") or verb not in words.START_VERBS:
            self.faults.append(Fault("action", f"{value!r} is none of {', '.join(words.START_SUBJECTS)}"))
        return f"build.{verb}"

    def user_id(self) -> int | None:
        value = self.document.get("user_id")
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self.faults.append(Fault("user_id", f"must be a whole number, not {_kind(value)}"))
            return None
        if abs(value) > words.INT64_MAX:
            self.faults.append(Fault("user_id", "beyond 64 bits"))
        return value

    def options(self) -> Mapping[str, Any] | None:
        value = self.document.get("options")
        if value is not None and not isinstance(value, Mapping):
            self.faults.append(Fault("options", f"must be an object or null, not {_kind(value)}"))
        return value


def _items(document: Mapping[str, Any], key: str, faults: list[Fault]) -> list[tuple[int, Mapping[str, Any]]]:
    """The objects of a list with their positions; what is no object is a fault."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        faults.append(Fault(key, f"must be a list, not {_kind(value)}"))
        return []
    faults += [
        Fault(f"{key}[{index}]", f"must be an object, not {_kind(item)}")
        for index, item in enumerate(value)
        if not isinstance(item, Mapping)
    ]
    return [(index, item) for index, item in enumerate(value) if isinstance(item, Mapping)]


def _components(document: Mapping[str, Any], part: str, faults: list[Fault]) -> list[tuple[int, ComponentSpec]]:
    found: list[tuple[int, ComponentSpec]] = []
    first_seen: dict[str, int] = {}
    for index, item in _items(document, part, faults):
        path = f"{part}[{index}]"
        faults += value_faults(item, path)
        component_id = _component_id(item, path, faults)
        if not component_id:
            continue
        if component_id in first_seen:
            before = f"{part}[{first_seen[component_id]}]"
            faults.append(Fault(f"{path}.{words.ID_KEY}", f"{component_id!r} is also the id of {before}"))
            continue
        first_seen[component_id] = index
        found.append((index, _component(item, component_id)))
    return found


def _component_id(item: Mapping[str, Any], path: str, faults: list[Fault]) -> str:
    value = item.get(words.ID_KEY)
    where = f"{path}.{words.ID_KEY}"
    if not isinstance(value, str) or not value:
        faults.append(Fault(where, "is missing" if value in (None, "") else f"must be a string, not {_kind(value)}"))
        return ""
    if len(value) > words.ID_LENGTH_MAX:
        faults.append(Fault(where, f"longer than {words.ID_LENGTH_MAX} characters"))
    if value in (words.START, words.END):
        faults.append(Fault(where, f"{value!r} is reserved for edges; choose another id"))
    return value


def _component(item: Mapping[str, Any], component_id: str) -> ComponentSpec:
    def word(key: str) -> str:
        value = item.get(key)
        return value if isinstance(value, str) else ""

    return ComponentSpec(
        component_id=component_id,
        type=word(words.TYPE_KEY)[: words.NAME_LENGTH_MAX],
        verb=word(words.VERB_KEY)[: words.NAME_LENGTH_MAX],
        provider=word(words.PROVIDER_KEY)[: words.NAME_LENGTH_MAX],
        state=word(words.STATE_KEY) or "waiting",
        document=item,
    )


def _change_faults(change: ComponentSpec, path: str, provider_faults: ProviderFaults) -> list[Fault]:
    faults: list[Fault] = []
    for key in (words.TYPE_KEY, words.VERB_KEY, words.PROVIDER_KEY):
        problem = token_problem(change.document.get(key))
        if problem:
            faults.append(Fault(f"{path}.{key}", problem))
    given = change.document.get(words.STATE_KEY)
    if given not in (None, "", *INITIAL_STATES):
        faults.append(Fault(f"{path}.{words.STATE_KEY}", f"{given!r} is none of {', '.join(INITIAL_STATES)}"))
    faults += _policy_faults(change.document, path)
    if not faults:
        faults += provider_faults(change.provider, change.document, path)
    return faults


def _policy_faults(document: Mapping[str, Any], path: str) -> list[Fault]:
    faults: list[Fault] = []
    timeout_s = document.get(words.TIMEOUT_KEY)
    if timeout_s is not None and not _is_number(timeout_s, int | float, words.TIMEOUT_S_MAX):
        faults.append(Fault(f"{path}.{words.TIMEOUT_KEY}", "must be a number of seconds above 0"))
    attempts = document.get(words.ATTEMPTS_KEY)
    if attempts is not None and not _is_number(attempts, int, words.ATTEMPTS_MAX):
        faults.append(Fault(f"{path}.{words.ATTEMPTS_KEY}", f"must be a whole number from 1 to {words.ATTEMPTS_MAX}"))
    return faults


def _is_number(value: Any, kind: Any, largest: float) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and 0 < value <= largest


def token_problem(value: Any) -> str:
    """Why a value cannot be one token of a NATS subject; empty when it can, or when it is a template."""
    if value is None or value == "":
        return "is missing"
    if not isinstance(value, str):
        return f"must be a string, not {_kind(value)}"
    limit = words.NAME_LENGTH_MAX if is_template(value) else words.TOKEN_LENGTH_MAX
    if len(value) > limit:
        return f"longer than {limit} characters"
    if not is_template(value) and NOT_IN_TOKEN.search(value):
        return f"{value!r} would break a subject: no spaces, dots, * or > and no control characters"
    return ""


def _edges(document: Mapping[str, Any], faults: list[Fault]) -> tuple[EdgeSpec, ...]:
    found: dict[tuple[str, str], EdgeSpec] = {}
    for index, item in _items(document, "edges", faults):
        path = f"edges[{index}]"
        ends = [_edge_end(item, key, path, faults) for key in ("source", "destination")]
        length = item.get("length", 1)
        if not isinstance(length, int) or isinstance(length, bool) or abs(length) > words.INT32_MAX:
            faults.append(Fault(f"{path}.length", "must be a whole number of 32 bits"))
            length = 1
        source, destination = ends
        if source and destination:
            found.setdefault((source, destination), EdgeSpec(source, destination, length))
    return tuple(found.values())


def _edge_end(item: Mapping[str, Any], key: str, path: str, faults: list[Fault]) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        faults.append(Fault(f"{path}.{key}", "is missing" if not value else f"must be a string, not {_kind(value)}"))
        return ""
    if value == (words.END if key == "source" else words.START):
        faults.append(Fault(f"{path}.{key}", f"{value!r} cannot be the {key} of an edge"))
        return ""
    return value


def _edge_faults(spec: GraphSpec, positions: Sequence[int]) -> list[Fault]:
    """Unknown ids, changes that nothing leads to, and the first cycle found."""
    known = {words.START, words.END}
    known.update(item.component_id for item in (*spec.components, *spec.changes))
    faults = [
        Fault(f"edges ({edge.source} → {edge.destination})", f"there is no component {end!r}")
        for edge in spec.edges
        for end in (edge.source, edge.destination)
        if end not in known
    ]
    incoming = Counter(edge.destination for edge in spec.edges)
    faults += [
        Fault(
            f"changes[{position}]",
            f"nothing leads to {change.component_id!r}, so it would never start; "
            "add an edge to it from `start` or from what it depends on",
        )
        for position, change in zip(positions, spec.changes, strict=True)
        if change.state == "waiting" and not incoming[change.component_id]
    ]
    cycle = find_cycle(spec.dependencies())
    if cycle:
        faults.append(Fault("edges", "these wait for each other in a circle: " + " → ".join(cycle)))
    return faults


def _kind(value: Any) -> str:
    """JSON's name for the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, Mapping) else "a list"
