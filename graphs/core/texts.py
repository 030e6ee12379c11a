"""The string that stands for a JSON value in ernest's templates.

Invariant: whole numbers are written exactly, whatever their size, and no number with an exponent.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def as_text(value: Any) -> str:
    """The string that stands for a JSON value: JSON text for objects and arrays, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    return json.dumps(_plain_numbers(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def number_text(value: float) -> str:
    """The shortest decimal without an exponent; whole numbers without a point, exactly."""
    if isinstance(value, int):
        return str(value)
    text = format(Decimal(repr(value)), "f")
    return re.sub(r"\.?0+$", "", text) if "." in text else text


def _plain_numbers(value: Any) -> Any:
    """Floats that are whole become integers, as ernest's own encoder writes them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _plain_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(inner) for inner in value]
    return value
