"""Reads a value out of JSON by a path, in the dialect of gjson 1.0.6 that users of ernest write.

Supported: dotted keys, `\\` before a character to take it as it is, `*` and `?` in keys, array indexes, `#` for the
length, `#.rest` for all elements, `#[path op value]` for the first match and `#[…]#` for all; operators
`= == != < <= > >= %`. Whatever else is written finds nothing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

PATH_LENGTH_MAX = 4096
USUAL = re.compile(r'([\w-]+)\.#\[([\w-]+)==?("[^"\\]+")\]\.([\w-]+)')
PLAIN = re.compile(r"[^.\\*?]*")
OPERATOR = re.compile(r"==|!=|<=|>=|=|<|>|%")


class _Missing:
    """The type of `MISSING`."""


MISSING = _Missing()
"""What a path that finds nothing gives; JSON's null is a value of its own."""


@dataclass(frozen=True, slots=True)
class Query:
    """`#[path op value]`; `all_matches` when a `#` follows the bracket."""

    path: str
    operator: str
    value: str
    all_matches: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a path: a key (with a pattern when it has wildcards), `#`, or a query."""

    key: str
    pattern: re.Pattern[str] | None = None
    query: Query | None = None


@lru_cache(maxsize=4096)
def parse_path(path: str) -> tuple[Part, ...] | None:
    """The steps of a path; None when it is not of this dialect."""
    usual = USUAL.fullmatch(path) if len(path) <= PATH_LENGTH_MAX else None
    if usual:
        first, key, value, last = usual.groups()
        return Part(first), Part("#", query=Query(key, "=", value, all_matches=False)), Part(last)
    parts: list[Part] = []
    position = 0
    if path.strip() != path or not 0 < len(path) <= PATH_LENGTH_MAX:
        return None
    while position <= len(path):
        if path.startswith("#[", position):
            query, position = _parse_query(path, position)
            if query is None:
                return None
            parts.append(Part("#", query=query))
        else:
            part, position = _parse_key(path, position)
            parts.append(part)
        if position < len(path) and path[position] != ".":
            return None
        position += 1
    return tuple(parts)


def _parse_key(path: str, position: int) -> tuple[Part, int]:
    end = PLAIN.match(path, position).end()  # type: ignore[union-attr]  # it matches nothing at least
    if end == len(path) or path[end] == ".":
        return Part(path[position:end]), end
    return _parse_odd_key(path, position)


def _parse_odd_key(path: str, position: int) -> tuple[Part, int]:
    """A key with wildcards or backslashes."""
    literal: list[str] = []
    pattern: list[str] = []
    wild = False
    while position < len(path) and path[position] != ".":
        character = path[position]
        if character == "\\" and position + 1 < len(path):
            position += 1
            literal.append(path[position])
            pattern.append(re.escape(path[position]))
        else:
            wild = wild or character in "*?"
            literal.append(character)
            pattern.append({"*": ".*", "?": "."}.get(character) or re.escape(character))
        position += 1
    compiled = re.compile("".join(pattern), re.DOTALL) if wild else None
    return Part("".join(literal), pattern=compiled), position


def _parse_query(path: str, position: int) -> tuple[Query | None, int]:
    start = position + 2
    end = _closing_bracket(path, start)
    inner = path[start:end]
    found = OPERATOR.search(inner)
    if end == len(path) or found is None:
        return None, position
    after = end + 1
    all_matches = path.startswith("#", after)
    operator = "=" if found.group() == "==" else found.group()
    query = Query(inner[: found.start()].strip(), operator, inner[found.end() :].strip(), all_matches)
    return query, after + all_matches


def _closing_bracket(path: str, position: int) -> int:
    """Where the query ends; the path's length when it does not."""
    while (bracket := path.find("]", position)) >= 0:
        quote = path.find('"', position, bracket)
        if quote < 0:
            return bracket
        position = path.find('"', quote + 1) + 1
        if position == 0:
            break
    return len(path)


def read(document: Any, path: str) -> Any:
    """The value at a path, or `MISSING`. Keys of the document itself are tried in their order, inner keys sorted."""
    parts = parse_path(path)
    return MISSING if parts is None else read_parts(document, parts)


def read_parts(document: Any, parts: Sequence[Part]) -> Any:
    """The value that the steps of a path lead to, or `MISSING`; without steps, the document."""
    if parts and isinstance(document, Mapping):
        return _in_object(document, list(document) if parts[0].pattern else (), parts)
    return _walk(document, parts)


def _walk(value: Any, parts: Sequence[Part]) -> Any:
    if not parts:
        return value
    if isinstance(value, Mapping):
        return _in_object(value, sorted(value) if parts[0].pattern else (), parts)
    if isinstance(value, list | tuple):
        return _in_array(value, parts)
    return MISSING


def _in_object(value: Mapping[str, Any], keys: Iterable[str], parts: Sequence[Part]) -> Any:
    part = parts[0]
    if part.query is not None:
        return MISSING
    if part.pattern is None:
        return _walk(value[part.key], parts[1:]) if part.key in value else MISSING
    for key in keys:
        if part.pattern.fullmatch(key):
            return _walk(value[key], parts[1:])
    return MISSING


def _in_array(value: Sequence[Any], parts: Sequence[Part]) -> Any:
    part, rest = parts[0], parts[1:]
    if part.query is not None:
        return _queried(value, part.query, rest)
    if part.key == "#":
        return _present(value, rest) if rest else len(value)
    if not part.key.isascii() or not part.key.isdigit():
        return MISSING
    index = int(part.key) if len(part.key) < 10 else len(value)
    return _walk(value[index], rest) if index < len(value) else MISSING


def _queried(value: Sequence[Any], query: Query, rest: Sequence[Part]) -> Any:
    matches = (item for item in value if _matches(query, item))
    if query.all_matches:
        return _present(matches, rest) or MISSING
    for item in matches:
        return _walk(item, rest)
    return MISSING


def _present(items: Iterable[Any], rest: Sequence[Part]) -> list[Any]:
    """What the rest of a path finds in each element; elements in which it finds nothing are left out."""
    found = (_walk(item, rest) for item in items)
    return [one for one in found if one is not MISSING]


def _matches(query: Query, item: Any) -> bool:
    value = read(item, query.path) if query.path else item
    wanted = query.value
    if len(wanted) > 2 and wanted.startswith('"') and wanted.endswith('"'):
        wanted = wanted[1:-1]
    if isinstance(value, bool):
        return wanted in ("true", "false") and _compare(query.operator, value, wanted == "true")
    if isinstance(value, str):
        return _compare(query.operator, value, wanted)
    if isinstance(value, int | float):
        return _compare(query.operator, value, _number(wanted))
    return False


def _number(text: str) -> float | int:
    """A number as gjson reads it: what is no number counts as 0."""
    try:
        return int(text) if re.fullmatch(r"-?\d{1,19}", text) else float(text)
    except ValueError:
        return 0


def _compare(operator: str, left: Any, right: Any) -> bool:
    match operator:
        case "=":
            return bool(left == right)
        case "!=":
            return bool(left != right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case ">=":
            return bool(left >= right)
    return isinstance(left, str) and re.fullmatch(_glob(right), left, re.DOTALL) is not None


def _glob(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
