"""What JSON values may be kept: the rules that both databases and every JSON reader agree on.

Invariant: a value without faults here is stored and read back unchanged by SQLite and PostgreSQL.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from graphs.core.words import DEPTH_MAX
from scheduler_project.toolkit.collector import collector_at_rest
from scheduler_project.toolkit.errors import Fault, InvalidDocument

NOT_KEPT = re.compile("[\x00\ud800-\udfff]")
SHOWN_LENGTH_MAX = 200


def parse_json(text: bytes | str) -> Any:
    """The JSON value of a text in UTF-8. Raises InvalidDocument with one fault that says why it is not JSON."""
    try:
        with collector_at_rest():
            return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise InvalidDocument([Fault("", f"nested deeper than {DEPTH_MAX} levels")]) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidDocument([Fault("", f"not JSON: {error}")]) from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def value_faults(value: Any, path: str) -> list[Fault]:
    """Every part of a value that cannot be kept: too deep, not finite, NUL or half characters, foreign types."""
    if _is_kept(value, DEPTH_MAX):
        return []
    faults: list[Fault] = []
    pending = [(value, path, 1)]
    while pending:
        part, where, depth = pending.pop()
        if isinstance(part, dict | list) and depth > DEPTH_MAX:
            faults.append(Fault(path, f"nested deeper than {DEPTH_MAX} levels"))
            return faults
        if isinstance(part, dict):
            for key, inner in part.items():
                faults += _text_faults(key, where)
                pending.append((inner, below(where, key), depth + 1))
        elif isinstance(part, list):
            pending += [(inner, f"{where}[{index}]", depth + 1) for index, inner in enumerate(part)]
        else:
            faults += _scalar_faults(part, where)
    return faults


def _is_kept(value: Any, levels: int) -> bool:
    """Whether all of a value can be kept. Most are, so this is the short way, without places."""
    kind = type(value)
    if kind is dict:
        return levels > 0 and _is_kept_object(value, levels - 1)
    if kind is list:
        return levels > 0 and all(_is_kept(inner, levels - 1) for inner in value)
    if kind is str:
        return NOT_KEPT.search(value) is None
    return value is None or kind is int or kind is bool or (kind is float and math.isfinite(value))


def _is_kept_object(value: dict[Any, Any], levels: int) -> bool:
    for key, inner in value.items():
        if type(key) is not str or NOT_KEPT.search(key):
            return False
        if type(inner) is str:
            if NOT_KEPT.search(inner):
                return False
        elif not _is_kept(inner, levels):
            return False
    return True


def below(path: str, key: Any) -> str:
    """The path of a key of the object at `path`."""
    return f"{path}.{shown(key)}" if path else shown(key)


def shown(text: Any) -> str:
    """A text of the user's for use in a message: not long, and of characters that every output takes."""
    words = text if isinstance(text, str) else repr(text)
    if len(words) > SHOWN_LENGTH_MAX:
        words = words[:SHOWN_LENGTH_MAX] + "…"
    return words if words.isprintable() else words.encode("unicode_escape").decode("ascii")


def _scalar_faults(value: Any, path: str) -> list[Fault]:
    if isinstance(value, str):
        return _text_faults(value, path)
    if isinstance(value, float) and not math.isfinite(value):
        return [Fault(path, "a number beyond the range of JSON readers")]
    if value is None or isinstance(value, bool | int | float):
        return []
    return [Fault(path, f"{type(value).__name__} is not a JSON type")]


def _text_faults(text: Any, path: str) -> list[Fault]:
    if not isinstance(text, str):
        return [Fault(path, f"the key {shown(text)} is not a string")]
    found = NOT_KEPT.search(text)
    if found is None:
        return []
    if found.group() == "\x00":
        return [Fault(path, "holds a NUL character")]
    return [Fault(path, "holds half of a surrogate pair, which is not a character")]


def kind_of(value: Any) -> str:
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


def digest(value: Any) -> str:
    """The same for equal JSON values, whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
