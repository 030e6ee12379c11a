"""Which template of which change reads what, and which of them could never be filled in.

A template is judged by what the mapping says before anything runs: what it reads is there already, or is brought back
by a change that comes before. What only a run can tell (lists that grow, what a `find` finds) is not judged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from graphs.core.gjson import MISSING, Part, parse_path, read_parts
from graphs.core.merge import BRINGS
from graphs.core.templating import FOLLOWED_MAX, LISTS, OPENING, Template, Templating, id_queried
from graphs.core.values import below, shown
from scheduler_project.toolkit.errors import Fault

ELSEWHERE = frozenset({*LISTS, "edges"})


class Reading(NamedTuple):
    """A template of a change. `reads` is the component that it reads, empty where that is no single one."""

    component_id: str
    path: str
    template: str
    reads: str


class Actor(NamedTuple):
    """A change as far as templates go. `over`: what it does is done already."""

    document: Mapping[str, Any]
    verb: str
    path: str
    over: bool


@dataclass(frozen=True)
class World:
    """What templates of one mapping may read."""

    templating: Templating
    top: Mapping[str, Any]
    existing: Mapping[str, Mapping[str, Any]]
    changes: Mapping[str, Actor]
    dependencies: Mapping[str, set[str]]

    @cached_property
    def finds(self) -> bool:
        """Whether anything may come to exist that the mapping does not name."""
        return any(actor.verb == "find" or OPENING in actor.verb for actor in self.changes.values())


@dataclass
class References:
    """`readings` of all templates; `faults` of those that could never be filled in; and `needed`: pairs (what is read,
    who reads it) that are sound only where the first comes before the second, each with the fault to tell otherwise."""

    readings: list[Reading] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    needed: list[tuple[tuple[str, str], Fault]] = field(default_factory=list)


def references(world: World) -> References:
    """Looks at every template of every change that is not over."""
    found = References()
    for component_id, actor in world.changes.items():
        if actor.over:
            continue
        for path, text in places(actor.document, actor.path):
            for template in world.templating.templates(text):
                parts = parse_path(template.path)
                found.readings.append(Reading(component_id, path, template.text, _read_by(parts)))
                _Look(world, component_id, path, found).at(template, parts)
    return found


def places(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every string of a JSON value that may hold a template, with its path."""
    kind = type(value)
    if kind is str:
        if OPENING in value:
            yield path, value
    elif kind is dict:
        for key, inner in value.items():
            if type(inner) is str:
                if OPENING in inner:
                    yield below(path, key), inner
            elif type(inner) is dict or type(inner) is list:
                yield from places(inner, below(path, key))
    elif kind is list:
        for index, inner in enumerate(value):
            yield from places(inner, f"{path}[{index}]")


def _read_by(parts: Sequence[Part] | None) -> str:
    return (id_queried(parts) or "") if parts and parts[0].key in LISTS else ""


@dataclass
class _Look:
    """Judges the templates of one place."""

    world: World
    reader: str
    path: str
    found: References
    seen: set[str] = field(default_factory=set)

    def at(self, template: Template, parts: Sequence[Part] | None) -> None:
        if template.text in self.seen or len(self.seen) > FOLLOWED_MAX:
            self.fault(f"the template {shown(template.text)} leads back to itself")
            return
        self.seen.add(template.text)
        if parts is None:
            self.without(template, "is no path that templates may have")
        elif parts[0].key not in ELSEWHERE and parts[0].pattern is None:
            self.judge(template, read_parts(self.world.top, parts), "finds nothing at the top of the mapping")
        elif parts[0].key in LISTS:
            component_id = id_queried(parts)
            if component_id is not None:
                look = self.in_changes if parts[0].key == "changes" else self.in_components
                look(template, component_id, parts[2:])

    def in_changes(self, template: Template, component_id: str, rest: Sequence[Part]) -> None:
        change = self.world.changes.get(component_id)
        if change is None:
            self.without(template, f"reads {shown(component_id)!r}, which is not in `changes`")
            return
        given = read_parts(change.document, rest)
        if not change.over and self.waits_for(component_id):
            return
        if self.world.templating.is_nothing(given) and not change.over:
            self.need(template, component_id)
        else:
            self.judge(template, given, f"finds nothing in {shown(component_id)!r}")

    def in_components(self, template: Template, component_id: str, rest: Sequence[Part]) -> None:
        world = self.world
        change, existing = world.changes.get(component_id), world.existing.get(component_id)
        given = MISSING if existing is None else read_parts(existing, rest)
        if change is not None and not change.over:
            brings = change.verb in BRINGS or OPENING in change.verb
            if brings and self.waits_for(component_id):
                return
            if brings and world.templating.is_nothing(given):
                self.need(template, component_id)
                return
            if change.verb == "delete" and self.waits_for(component_id):
                self.without(template, f"reads {shown(component_id)!r}, which is deleted before")
                return
        if world.finds and world.templating.is_nothing(given):
            return
        nowhere = f"reads {shown(component_id)!r}, which neither exists nor comes to exist"
        self.judge(template, given, nowhere if existing is None else f"finds nothing in {shown(component_id)!r}")

    def waits_for(self, component_id: str) -> bool:
        return component_id in self.world.dependencies[self.reader]

    def judge(self, template: Template, given: Any, problem: str) -> None:
        """What is there before anything runs is what will be read, and may lead on."""
        if self.world.templating.is_nothing(given):
            self.without(template, problem)
            return
        if isinstance(given, str):
            following = self.world.templating.templates(given)
            if following and following[0].text == given:
                self.at(following[0], parse_path(following[0].path))

    def need(self, template: Template, component_id: str) -> None:
        """Something that only its change brings back."""
        if template.default is not MISSING:
            return
        if component_id == self.reader:
            self.without(template, "reads what its own component has not brought back when it starts")
            return
        name, reader = shown(component_id), shown(self.reader)
        problem = f"the template {shown(template.text)} reads {name!r}, which does not come before"
        told = Fault(self.path, f"{problem} {reader!r}; add an edge from the one to the other")
        self.found.needed.append(((component_id, self.reader), told))

    def without(self, template: Template, problem: str) -> None:
        if template.default is MISSING:
            self.fault(f"the template {shown(template.text)} {problem}")

    def fault(self, message: str) -> None:
        self.found.faults.append(Fault(self.path, message))
