"""Reads the operator's files, YAML or JSON, into plain values that JSON can carry.

Invariant: every fault names the file and, where known, the line; nothing is sent before the whole file is read.
PyYAML is imported only when a file is read.
"""

import contextlib
import functools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schedctl.errors import BadFile

STDIN = "-"
DEPTH_MAX = 100


def read_text(name: str) -> str:
    """The file's text, or standard input for `-`. Raises BadFile."""
    try:
        return read_bytes(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile(f"{name}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_bytes(name: str) -> bytes:
    """The file's bytes, or all of standard input for `-`. Raises BadFile."""
    try:
        return sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise BadFile(f"{name}: cannot be read: {error.strerror}; check the path and its permissions") from error


def load_document(text: str, name: str) -> Any:
    """The one YAML or JSON document in `text`. Dates stay text. Raises BadFile with the line."""
    if text.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(json.JSONDecodeError, RepeatedKey, RecursionError):
            return json.loads(text, object_pairs_hook=without_repeated_keys)
    return _load(text, name, plain_loader())


class RepeatedKey(ValueError):
    """A JSON object gives a key twice; the YAML reader tells where."""


def without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RepeatedKey
    return found


def load_texts(text: str, name: str) -> Any:
    """Like `load_document`, with every scalar as it was written (`1.50`, `true`) and null as the empty text."""
    return _load(text, name, text_loader())


def load_mapping(name: str) -> dict[str, Any]:
    """The mapping in a file. Raises BadFile."""
    found = load_document(read_text(name), name)
    if not isinstance(found, dict):
        raise BadFile(f"{name}: must hold a mapping (key: value), not {kind_of(found)}")
    return found


def kind_of(value: object) -> str:
    """What a value is, in the operator's words."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "a single value"


def _load(text: str, name: str, loader: Any) -> Any:
    import yaml

    try:
        if depth_of(yaml.parse(text, Loader=loader)) > DEPTH_MAX:
            raise BadFile(f"{name}: is nested more than {DEPTH_MAX} levels deep")
        return yaml.load(text, Loader=loader)  # noqa: S506 - both loaders are safe ones
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise BadFile(f"{where}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        summary = str(error).splitlines()[0]
        raise BadFile(f"{name}: is not valid YAML or JSON: {summary}") from error


def depth_of(events: Iterable[Any]) -> int:
    """How deep the lists and mappings of a document are nested; the parser that makes values recurses without limit."""
    from yaml.events import CollectionEndEvent, CollectionStartEvent

    deepest = depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        deepest = max(deepest, depth)
        if deepest > DEPTH_MAX:
            break
    return deepest


@functools.cache
def plain_loader() -> Any:
    """Safe YAML as its version 1.2 and JSON read it, where `on`, `yes`, `12:30` and dates are text.

    A key given twice is a fault: YAML would silently keep the last.
    """
    import yaml

    class PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """See `plain_loader`."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
                if key.value in seen:
                    fault = f"the key {key.value!r} is given twice; remove one"
                    raise yaml.constructor.ConstructorError(None, None, fault, key.start_mark)
                seen.add(key.value)
            found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return found

        def construct_yaml_bool(self, node: Any) -> Any:
            word = self.construct_scalar(node)
            return word.lower() == "true" if word.lower() in ("true", "false") else word

        def construct_yaml_int(self, node: Any) -> Any:
            word = self.construct_scalar(node)
            return word if ":" in word else super().construct_yaml_int(node)

        def construct_yaml_float(self, node: Any) -> Any:
            word = self.construct_scalar(node)
            return word if ":" in word else super().construct_yaml_float(node)

    for kind in ("bool", "int", "float"):
        PlainLoader.add_constructor(f"tag:yaml.org,2002:{kind}", getattr(PlainLoader, f"construct_yaml_{kind}"))
    keep_as_written(PlainLoader, ("timestamp", "binary"))
    return PlainLoader


@functools.cache
def text_loader() -> Any:
    """Like `plain_loader`, but no scalar is interpreted."""

    class TextLoader(plain_loader()):  # type: ignore[misc]
        """See `text_loader`."""

    keep_as_written(TextLoader, ("bool", "int", "float", "value"))
    TextLoader.add_constructor("tag:yaml.org,2002:null", lambda self, node: "")
    return TextLoader


def keep_as_written(loader: Any, kinds: tuple[str, ...]) -> None:
    """Makes the loader give the text of such scalars."""
    for kind in kinds:
        loader.add_constructor(f"tag:yaml.org,2002:{kind}", lambda self, node: self.construct_scalar(node))
