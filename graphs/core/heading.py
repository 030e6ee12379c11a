"""Reads what stands at the top of a mapping: whose it is, what starts it, and its options."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphs.core import words
from graphs.core.templating import BY_NAME, OPTION
from graphs.core.values import kind_of, shown
from scheduler_project.toolkit.errors import Fault

NOT_IN_GRAPH_ID = re.compile(r"[\s/\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Head:
    """The known top-level fields of a mapping."""

    id: str
    name: str
    action: str
    user_id: int | None
    username: str
    options: Mapping[str, Any] | None

    def mapping(self) -> dict[str, Any]:
        """The fields as ernest's tools read them."""
        return {**vars(self), "user_id": self.user_id or 0}


def read_head(document: Mapping[str, Any], new_id: str, faults: list[Fault]) -> Head:
    """The top-level fields; `new_id` is the id where there is none. What is wrong is added to `faults`."""
    reader = _Reader(document, faults)
    return Head(
        id=reader.graph_id(new_id),
        name=reader.text("name"),
        action=reader.action(),
        user_id=reader.user_id(),
        username=reader.text("username"),
        options=reader.options(),
    )


class _Reader:
    def __init__(self, document: Mapping[str, Any], faults: list[Fault]) -> None:
        self.document = document
        self.faults = faults

    def text(self, key: str) -> str:
        value = self.document.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.faults.append(Fault(key, f"must be a string, not {kind_of(value)}"))
            return ""
        if len(value) > words.NAME_LENGTH_MAX:
            self.faults.append(Fault(key, f"longer than {words.NAME_LENGTH_MAX} characters"))
        return value

    def graph_id(self, new_id: str) -> str:
        value = self.document.get("id")
        if value is None or value == "":
            return new_id
        if not isinstance(value, str):
            self.faults.append(Fault("id", f"must be a string, not {kind_of(value)}"))
        elif len(value) > words.ID_LENGTH_MAX:
            self.faults.append(Fault("id", f"longer than {words.ID_LENGTH_MAX} characters"))
        elif NOT_IN_GRAPH_ID.search(value) or not value.isprintable():
            self.faults.append(Fault("id", "may not hold spaces, slashes, control characters or others unseen"))
        return str(value)

    def action(self) -> str:
        value = self.document.get("action") or words.DEFAULT_ACTION
        prefix, _, verb = value.partition(".") if isinstance(value, str) else ("", "", "")
        if prefix not in ("build", "service") or verb not in words.START_VERBS:
            self.faults.append(Fault("action", f"{shown(value)} is none of {', '.join(words.START_SUBJECTS)}"))
        return f"build.{verb}"

    def user_id(self) -> int | None:
        value = self.document.get("user_id")
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self.faults.append(Fault("user_id", f"must be a whole number, not {kind_of(value)}"))
            return None
        if abs(value) > words.INT64_MAX:
            self.faults.append(Fault("user_id", "beyond 64 bits"))
        return value

    def options(self) -> Mapping[str, Any] | None:
        value = self.document.get("options")
        if value is not None and not isinstance(value, Mapping):
            self.faults.append(Fault("options", f"must be an object or null, not {kind_of(value)}"))
            return None
        if value is not None and value.get(OPTION, "ernest") not in list(BY_NAME):
            self.faults.append(Fault(f"options.{OPTION}", f"is none of {', '.join(BY_NAME)}"))
        parallel = (value or {}).get(words.PARALLEL_OPTION)
        whole = isinstance(parallel, int) and not isinstance(parallel, bool)
        if parallel is not None and not (whole and 0 < parallel <= words.PARALLEL_MAX):
            why = f"must be a whole number from 1 to {words.PARALLEL_MAX}"
            self.faults.append(Fault(f"options.{words.PARALLEL_OPTION}", why))
        return value
