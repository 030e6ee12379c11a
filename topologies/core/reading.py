"""Reads a user's mapping key by key, noting every fault with its path instead of stopping at the first."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from scheduler_project.toolkit.errors import Fault


class Reader:
    """One mapping at `path`. What is not a mapping reads as an empty one, with one fault; null means absent."""

    def __init__(self, value: object, path: str, faults: list[Fault]) -> None:
        self.path = path
        self.faults = faults
        self.usable = isinstance(value, Mapping)
        self.value: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        if not self.usable:
            faults.append(Fault(path, f"must be a mapping, not {kind_of(value)}"))

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def fault(self, key: str, message: str) -> None:
        """Notes a fault at a key of this mapping."""
        if self.usable:
            self.faults.append(Fault(self.at(key), message))

    def only(self, keys: Sequence[str]) -> None:
        """Notes a fault for every key that is not one of these, with the one probably meant."""
        for key in self.value:
            if key not in keys:
                near = difflib.get_close_matches(str(key), keys, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(keys)}"
                self.fault(str(key), f"is not known here; {hint}")

    def text(self, key: str, default: str = "") -> str:
        value = self.value.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            return value
        self.fault(key, f"must be a text, not {kind_of(value)}; put it in quotes")
        return default

    def word(self, key: str, choices: Sequence[str], default: str = "") -> str:
        """One of `choices`, given in any case; empty where it is none of them."""
        given = self.text(key, default)
        for choice in choices:
            if choice.lower() == given.lower():
                return choice
        self.fault(key, f"{repr(given) + ' is none' if given else 'is missing; give one'} of {', '.join(choices)}")
        return ""

    def texts(self, key: str) -> list[str]:
        """A list of texts; one text alone is a list of one."""
        value = self.value.get(key)
        if value is None:
            return []
        if isinstance(value, str):
            return [value]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return list(value)
        self.fault(key, "must be a list of texts")
        return []

    def items(self, key: str) -> list[Any]:
        """A list with something in it."""
        value = self.value.get(key)
        if isinstance(value, list) and value:
            return value
        self.fault(key, "is missing; give at least one" if not value else f"must be a list, not {kind_of(value)}")
        return []


def kind_of(value: object) -> str:
    """A type in the words of YAML and JSON."""
    if value is None:
        return "nothing"
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "a yes or no"),
        (int, "a number"),
        (float, "a number"),
        (str, "a text"),
        (list, "a list"),
        (Mapping, "a mapping"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)
