"""Fills in `$(path)` with what other components of the graph brought back, as ernest does or, on request, as extended.

What cannot be resolved is an error that names the template and never a value, so neither a placeholder reaches a
provider nor a secret a log.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphs.core.gjson import MISSING, PATH_LENGTH_MAX, Part, parse_path, read
from graphs.core.texts import as_text
from graphs.core.values import parse_json, shown, value_faults
from graphs.core.words import ID_KEY
from scheduler_project.toolkit.errors import InvalidDocument, SchedulerError

OPENING = "$("
CLOSING = ")"
LITERAL = "$$("
OTHERWISE = " ?? "
FOLLOWED_MAX = 16
TEMPLATE_LENGTH_MAX = 2 * PATH_LENGTH_MAX
LISTS = ("components", "changes")
OPTION = "_templating"


class Unresolved(SchedulerError):
    """A template could not be filled in."""


@dataclass(frozen=True)
class Template:
    """One placeholder: as written, the path that it reads, and what stands in where that finds nothing."""

    text: str
    path: str
    default: Any = MISSING


@dataclass(frozen=True)
class Needs:
    """What templates read: components by id in either list, or (`everything`) more than ids can tell."""

    ids: frozenset[str] = frozenset()
    everything: bool = False


class Templating(ABC):
    """A way to write templates."""

    @abstractmethod
    def templates(self, text: str) -> Sequence[Template]:
        """The templates in one string."""

    @abstractmethod
    def is_nothing(self, found: Any) -> bool:
        """Whether what a path found cannot stand in for a template."""

    @abstractmethod
    def filled(self, text: str, mapping: Mapping[str, Any]) -> Any:
        """What a string with templates becomes. Raises Unresolved, naming the template."""

    def holds(self, value: Any) -> bool:
        """Whether a value is a string with a template."""
        return isinstance(value, str) and OPENING in value and bool(self.templates(value))

    def templates_in(self, value: Any) -> Iterator[Template]:
        """Every template in a JSON value."""
        for text in _texts_with_opening(value):
            yield from self.templates(text)

    def needs_of(self, value: Any) -> Needs:
        """Which components must be at hand to resolve a value's templates."""
        ids: set[str] = set()
        for template in self.templates_in(value):
            found = ids_read(template.path)
            if found is None:
                return Needs(everything=True)
            ids |= found
        return Needs(ids=frozenset(ids))

    def resolve(self, value: Any, mapping: Mapping[str, Any]) -> Any:
        """The value with every template filled in from the mapping. Raises Unresolved, naming the template."""
        if self.holds(value):
            return self.filled(value, mapping)
        if isinstance(value, Mapping):
            return {key: self.resolve(inner, mapping) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.resolve(inner, mapping) for inner in value]
        return value

    def outgoing(self, value: Any) -> Any:
        """A resolved value as its provider gets it."""
        return value


class ErnestTemplating(Templating):
    """A template is a whole string, and its result is always a string."""

    def templates(self, text: str) -> Sequence[Template]:
        if not is_template(text):
            return ()
        return (Template(text, text[len(OPENING) : -len(CLOSING)]),)

    def is_nothing(self, found: Any) -> bool:
        return found is MISSING or as_text(found) in ("", "null")

    def filled(self, text: str, mapping: Mapping[str, Any]) -> str:
        following = text
        for _ in range(FOLLOWED_MAX):
            found = read(mapping, following[len(OPENING) : -len(CLOSING)])
            if self.is_nothing(found):
                raise Unresolved(finds_nothing(following))
            result = as_text(found)
            if not is_template(result):
                return result
            following = result
        raise Unresolved(leads_on(text))


class ExtendedTemplating(Templating):
    """Templates stand anywhere in a string; one that is the whole string keeps the type of what it reads.

    `$(path ?? default)` has a default, JSON or else plain text. `$$(` stands for `$(` itself, and goes out as that.
    """

    def templates(self, text: str) -> Sequence[Template]:
        return [piece for piece in _pieces(text) if isinstance(piece, Template)]

    def is_nothing(self, found: Any) -> bool:
        return found is MISSING or found is None

    def filled(self, text: str, mapping: Mapping[str, Any]) -> Any:
        pieces = list(_pieces(text))
        if len(pieces) == 1 and isinstance(pieces[0], Template):
            return self._value(pieces[0], mapping)
        return "".join(piece if isinstance(piece, str) else as_text(self._value(piece, mapping)) for piece in pieces)

    def outgoing(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(LITERAL, OPENING)
        if isinstance(value, Mapping):
            return {key: self.outgoing(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.outgoing(inner) for inner in value]
        return value

    def _value(self, template: Template, mapping: Mapping[str, Any]) -> Any:
        following = template
        for _ in range(FOLLOWED_MAX):
            found = read(mapping, following.path)
            if self.is_nothing(found):
                found = following.default
            if found is MISSING:
                raise Unresolved(finds_nothing(following.text))
            inside = list(self.templates_in(found))
            if not inside:
                return found
            if inside[0].text != found:
                raise Unresolved(f"the template {shown(following.text)} reads a value that holds templates itself")
            following = inside[0]
        raise Unresolved(leads_on(template.text))


ERNEST = ErnestTemplating()
BY_NAME: Mapping[str, Templating] = {"ernest": ERNEST, "extended": ExtendedTemplating()}


def templating_of(options: Any) -> Templating:
    """The way that a mapping's `options` ask for; ernest's unless they do."""
    wanted = options.get(OPTION) if isinstance(options, Mapping) else None
    return BY_NAME.get(wanted, ERNEST) if isinstance(wanted, str) else ERNEST


def is_template(value: Any) -> bool:
    """Whether a value is as a whole `$(…)` with something inside."""
    return isinstance(value, str) and value.startswith(OPENING) and value.endswith(CLOSING) and len(value) > 3


def may_hold_template(value: Any) -> bool:
    """Whether a value is a string that one of the ways may fill in."""
    return isinstance(value, str) and OPENING in value


def finds_nothing(template: str) -> str:
    """What is said of a template that finds nothing."""
    return f"the template {shown(template)} finds nothing; check its path, and that what it reads comes before"


def leads_on(template: str) -> str:
    """What is said of a template whose result is a template, and so on."""
    return f"the template {shown(template)} leads to template after template, {FOLLOWED_MAX} in a row"


def ids_read(path: str) -> frozenset[str] | None:
    """The id in `components.#[_component_id="…"].…`; nothing for top-level fields; None when ids cannot tell."""
    parts = parse_path(path)
    if parts is None:
        return frozenset()
    first = parts[0]
    if first.pattern is not None:
        return None
    if first.key not in (*LISTS, "edges"):
        return frozenset()
    component_id = id_queried(parts)
    return None if component_id is None else frozenset({component_id})


def id_queried(parts: Sequence[Part]) -> str | None:
    """The id that the second step of a path asks for; None when it asks for anything else."""
    query = parts[1].query if len(parts) > 1 else None
    if query is None or query.path != ID_KEY or query.operator != "=" or query.all_matches:
        return None
    return query.value.strip('"')


def _texts_with_opening(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            if OPENING in part:
                yield part
        elif isinstance(part, Mapping):
            pending.extend(part.values())
        elif isinstance(part, list | tuple):
            pending.extend(part)


def _pieces(text: str) -> Iterator[str | Template]:
    """A text cut into what stands for itself and templates, in order."""
    position = 0
    while (start := text.find(OPENING, position)) >= 0:
        if text.startswith(LITERAL, start - 1) and start > position:
            yield text[position : start + len(OPENING)]
            position = start + len(OPENING)
            continue
        if start > position:
            yield text[position:start]
        end = _unquoted(text, CLOSING, start)
        yield _template(text[start : end + 1])
        position = end + 1
    if position < len(text):
        yield text[position:]


def _template(text: str) -> Template:
    """One placeholder. What is not closed has a path that finds nothing."""
    if not text.endswith(CLOSING) or _unquoted(text, CLOSING, 0) != len(text) - 1:
        return Template(text, "")
    inner = text[len(OPENING) : -len(CLOSING)]
    position = _unquoted(inner, OTHERWISE, 0)
    if position == len(inner):
        return Template(text, inner)
    return Template(text, inner[:position], _json_or_text(inner[position + len(OTHERWISE) :].strip()))


def _unquoted(text: str, wanted: str, position: int) -> int:
    """Where `wanted` next stands outside quotes and not after a backslash; the text's length when nowhere near."""
    quoted = False
    limit = min(len(text), position + TEMPLATE_LENGTH_MAX)
    while position < limit:
        if text[position] == "\\":
            position += 1
        elif text[position] == '"':
            quoted = not quoted
        elif not quoted and text.startswith(wanted, position):
            return position
        position += 1
    return len(text)


def _json_or_text(text: str) -> Any:
    try:
        value = parse_json(text)
    except InvalidDocument:
        return text
    return text if value_faults(value, "") else value
