"""What JSON values may be kept: the rules that both databases and every JSON reader agree on.

Invariant: a value without faults here is stored and read back unchanged by SQLite and PostgreSQL.
"""

import hashlib
import json
import math
from typing import Any

from graphs.core.words import DEPTH_MAX
from scheduler_project.toolkit.errors import Fault, InvalidDocument


def parse_json(text: bytes | str) -> Any:
    """The JSON value of a text in UTF-8. Raises InvalidDocument with one fault that says why it is not JSON."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise InvalidDocument([Fault("", f"nested deeper than {DEPTH_MAX} levels")]) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidDocument([Fault("", f"not JSON: {error}")]) from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def value_faults(value: Any, path: str) -> list[Fault]:
    """Every part of a value that cannot be kept: too deep, not finite, NUL or half characters, foreign types."""
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
                pending.append((inner, f"{where}.{key}" if where else str(key), depth + 1))
        elif isinstance(part, list):
            pending += [(inner, f"{where}[{index}]", depth + 1) for index, inner in enumerate(part)]
        else:
            faults += _scalar_faults(part, where)
    return faults


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
        return [Fault(path, f"the key {text!r} is not a string")]
    if text.isascii():
        return [Fault(path, "holds a NUL character")] if "\x00" in text else []
    if any("\ud800" <= character <= "\udfff" for character in text):
        return [Fault(path, "holds half of a surrogate pair, which is not a character")]
    return [Fault(path, "holds a NUL character")] if "\x00" in text else []


def digest(value: Any) -> str:
    """The same for equal JSON values, whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
