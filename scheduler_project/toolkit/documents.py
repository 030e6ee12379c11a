"""Reads a YAML or JSON text into plain values, refusing what YAML allows and no document needs.

Invariant: no text, however made, costs more than its size limit and its node limit allow.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from scheduler_project.toolkit.errors import Fault, InvalidDocument

SIZE_MAX_BYTES = 32 * 1024 * 1024
NODES_MAX = 2_000_000
DEPTH_MAX = 100


class PlainLoader(yaml.CSafeLoader):
    """Scalars as YAML 1.2 and JSON read them: `on` and `yes`, `12:30`, dates and `010` are text."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", r"^[-+]?(?=.*[.eE])(?:[0-9]+\.?|[0-9]*\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
    ("merge", r"^<<$", ["<"]),
):
    PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)


class DuplicateKey(ValueError):
    """A JSON object names one key twice."""


def parse(text: bytes) -> Any:
    """The values of a JSON or YAML text. Raises InvalidDocument with line and column."""
    if len(text) > SIZE_MAX_BYTES:
        raise refused(f"is larger than {SIZE_MAX_BYTES // (1024 * 1024)} MiB; split it")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(f"is not UTF-8 text (byte {error.start})") from error
    try:
        return parse_json(decoded) if decoded.lstrip()[:1] in ("{", "[") else parse_yaml(decoded)
    except RecursionError as error:
        raise refused(f"is nested more than {DEPTH_MAX} levels deep") from error
    except ValueError as error:
        raise refused(f"holds a value that is not what it looks like: {error}") from error


def refused(message: str) -> InvalidDocument:
    return InvalidDocument([Fault("", message)])


def parse_json(text: str) -> Any:
    """JSON where it is JSON, else YAML, whose flow style looks alike."""
    try:
        return json.loads(text, object_pairs_hook=without_duplicates)
    except DuplicateKey as error:
        raise refused(str(error)) from error
    except json.JSONDecodeError:
        return parse_yaml(text)


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DuplicateKey(f"the key {key!r} appears twice in one object; keep one")
        found[key] = value
    return found


def parse_yaml(text: str) -> Any:
    """YAML of one document, without duplicate keys, tags of Python objects and anchors that grow without bound."""
    try:
        check_depth(text)
        loader = PlainLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            check_nodes(root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise InvalidDocument([fault_of(error)]) from error


def check_depth(text: str) -> None:
    """Raises RecursionError before the reader, which recurses without limit, meets what is nested too deep."""
    depth = 0
    for event in yaml.parse(text, Loader=PlainLoader):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise RecursionError


def fault_of(error: yaml.YAMLError) -> Fault:
    """What the YAML reader says, in one line, with the place where it stopped."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Fault("", f"is not valid YAML: {' '.join(str(error).split())}")
    words = ", ".join(part for part in (error.context, error.problem) if part)
    return Fault(place(error.problem_mark or error.context_mark), f"is not valid YAML: {words}")


def place(mark: Any) -> str:
    return f"line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""


def check_nodes(root: Node) -> None:
    """Raises InvalidDocument for duplicate keys, and for anchors that unfold into too much or into themselves."""
    faults: list[Fault] = []
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def measure(node: Node, depth: int) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes or depth > DEPTH_MAX:
            raise RecursionError
        open_nodes.add(id(node))
        if isinstance(node, MappingNode):
            faults.extend(duplicate_keys(node))
        size = 1 + sum(measure(child, depth + 1) for child in children(node))
        open_nodes.discard(id(node))
        if size > NODES_MAX:
            raise refused(f"holds more than {NODES_MAX} values once its anchors are unfolded")
        sizes[id(node)] = size
        return size

    measure(root, 0)
    if faults:
        raise InvalidDocument(faults)


def children(node: Node) -> Iterable[Node]:
    if isinstance(node, MappingNode):
        return (part for pair in node.value for part in pair)
    return node.value if isinstance(node, SequenceNode) else ()


def duplicate_keys(node: MappingNode) -> Iterable[Fault]:
    seen: dict[str, Any] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            continue
        if key.value in seen:
            first = seen[key.value].line + 1
            yield Fault(place(key.start_mark), f"the key {key.value!r} is already given on line {first}; keep one")
        else:
            seen[key.value] = key.start_mark
