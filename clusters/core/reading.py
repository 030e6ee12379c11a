"""Reads one mapping of a user's document key by key, and gathers every fault instead of stopping at the first.

Invariant: a reader never raises for what a user wrote; for an unusable value it notes a fault and returns a default.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clusters.core.durations import seconds_of
from scheduler_project.toolkit.errors import Fault

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAME_RULE = "must start with a letter or digit and hold only letters, digits, '.', '_' and '-', at most 100"
WHOLE_MAX = 2_147_483_647


class Reader:
    """One mapping at `path`. Keys that nobody asked for are faults when `finish` is called; null means absent."""

    def __init__(self, value: object, path: str, faults: list[Fault]) -> None:
        self.path = path
        self.faults = faults
        self.asked: dict[str, None] = {}
        self.without_effect: list[str] = []
        self.usable = isinstance(value, Mapping)
        self.value: Mapping[Any, Any] = value if isinstance(value, Mapping) else {}
        if not self.usable:
            faults.append(Fault(path, f"must be a mapping, got {shown(value)}"))

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def fault(self, key: str, message: str) -> None:
        """Notes what is wrong with a key; a value that is no mapping at all has one fault, not one for each key."""
        if self.usable:
            self.faults.append(Fault(self.at(key), message))

    def fault_here(self, message: str) -> None:
        if self.usable:
            self.faults.append(Fault(self.path, message))

    def get(self, key: str) -> Any:
        self.asked[key] = None
        return self.value.get(key)

    def has(self, key: str) -> bool:
        return self.get(key) is not None

    def ignore(self, *keys: str) -> None:
        """Accepts keys of older formats that change nothing here."""
        self.without_effect += [key for key in keys if self.has(key)]

    def name(self, key: str = "name") -> str:
        """A required name."""
        value = self.get(key)
        if value is None or value == "":
            self.fault(key, "is missing")
        elif not isinstance(value, str):
            self.fault(key, f"must be text, got {shown(value)}")
        elif not NAME.fullmatch(value):
            self.fault(key, f"{NAME_RULE}; got {shown(value)}")
        else:
            return value
        return ""

    def text(self, key: str, default: str = "") -> str:
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, str):
            return value
        self.fault(key, f"must be text, got {shown(value)}")
        return default

    def one_of(self, key: str, choices: Mapping[str, str], default: str) -> str:
        """The meaning of a word out of `choices`."""
        word = self.text(key)
        if word and word not in choices:
            self.fault(key, f"must be one of {', '.join(filter(None, choices))}, got {shown(word)}")
        return choices.get(word, default)

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            self.fault(key, f"must be true or false, got {shown(value)}")
        return value is True

    def whole(self, key: str, default: int = 0, lowest: int = 0, highest: int = WHOLE_MAX) -> int:
        value = self.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, f"must be a whole number, got {shown(value)}")
        elif not lowest <= value <= highest:
            self.fault(key, f"must be from {lowest} to {highest}, got {value}")
        else:
            return value
        return default

    def required_whole(self, key: str) -> int:
        if not self.has(key):
            self.fault(key, "is missing")
        return self.whole(key)

    def duration_s(self, key: str, default_s: float) -> float:
        value = self.get(key)
        if value is None:
            return default_s
        found = seconds_of(value)
        if found is None:
            self.fault(key, f"must be a duration such as 10s or 1m30s, at most a week; got {shown(value)}")
            return default_s
        return found

    def texts(self, key: str) -> list[str]:
        """A list of texts, or one text."""
        value = self.get(key)
        if value is None or value == "":
            return []
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list):
            self.fault(key, f"must be a text or a list of texts, got {shown(value)}")
            return []
        for index, one in enumerate(found):
            if not isinstance(one, str):
                self.fault(f"{key}[{index}]", f"must be text, got {shown(one)}")
        return [one for one in found if isinstance(one, str)]

    def elements(self, key: str) -> Iterator[tuple[str, Any]]:
        """The elements of a list, or one mapping alone, each with its path."""
        value = self.get(key)
        if isinstance(value, Mapping):
            yield self.at(key), value
        elif isinstance(value, list):
            for index, one in enumerate(value):
                yield f"{self.at(key)}[{index}]", one
        elif value is not None:
            self.fault(key, f"must be a list, got {shown(value)}")

    def readers(self, key: str) -> list["Reader"]:
        return [Reader(one, path, self.faults) for path, one in self.elements(key)]

    def inner(self, key: str) -> "Reader":
        return Reader(self.get(key), self.at(key), self.faults)

    def finish(self) -> None:
        """Notes a fault for each key that is not part of the format."""
        for key in self.value:
            if key not in self.asked:
                self.fault(str(key), f"is not a known key; {suggestion(str(key), list(self.asked))}")


def suggestion(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"


def shown(value: object) -> str:
    """A value as a user wrote it, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
