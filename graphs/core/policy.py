"""What a component asks for when things do not go well: attempts, delays between them, deadlines, sending twice.

Invariant: a `Policy` is valid, and what is not asked for is not stored.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from graphs.core import words
from graphs.core.rules import RULES
from graphs.core.values import shown
from scheduler_project.toolkit.errors import Fault

RESEND = ("always", "never")
SECONDS_KEYS = {
    words.TIMEOUT_KEY: "timeout_s",
    words.QUEUE_TIMEOUT_KEY: "queue_timeout_s",
    words.START_TIMEOUT_KEY: "start_timeout_s",
    words.HEARTBEAT_TIMEOUT_KEY: "heartbeat_timeout_s",
    words.RETRY_DELAY_KEY: "retry_delay_s",
    words.RETRY_DELAY_MAX_KEY: "retry_delay_max_s",
}


@dataclass(frozen=True)
class Policy:
    """One component's wishes; 0 and empty stand for what the settings say. `attempts` counts sends of one run.

    `timeout_s` is kept apart from the others, and so not a part of what is `stored`.
    """

    attempts: int = 1
    timeout_s: float = 0
    queue_timeout_s: float = 0
    start_timeout_s: float = 0
    heartbeat_timeout_s: float = 0
    retry_delay_s: float = 0
    retry_delay_max_s: float = 0
    resend: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Policy":
        """The policy that `stored` gave."""
        return cls(**stored) if stored else DEFAULT

    def within(self, timeout_s: float) -> "Policy":
        """The same with the time for a reply."""
        return replace(self, timeout_s=timeout_s) if timeout_s else self

    def stored(self) -> dict[str, Any] | None:
        """What differs from the default, as JSON; None when nothing does."""
        given = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "timeout_s"}
        return {name: value for name, value in given.items() if value != getattr(DEFAULT, name)} or None


DEFAULT = Policy()


def policy_of(document: Mapping[str, Any]) -> Policy:
    """The policy in a component without faults."""
    seconds = {name: float(document.get(key) or 0) for key, name in SECONDS_KEYS.items()}
    return Policy(
        attempts=int(document.get(words.ATTEMPTS_KEY) or 1), resend=str(document.get(words.RESEND_KEY) or ""), **seconds
    )


def policy_faults(document: Mapping[str, Any], path: str) -> list[Fault]:
    """Everything wrong with the keys of a component's policy and its rule."""
    faults = [
        Fault(f"{path}.{key}", "must be a number of seconds above 0")
        for key in SECONDS_KEYS
        if document.get(key) is not None and not _is_number(document[key], int | float, words.TIMEOUT_S_MAX)
    ]
    attempts = document.get(words.ATTEMPTS_KEY)
    if attempts is not None and not _is_number(attempts, int, words.ATTEMPTS_MAX):
        faults.append(Fault(f"{path}.{words.ATTEMPTS_KEY}", f"must be a whole number from 1 to {words.ATTEMPTS_MAX}"))
    for key, allowed in ((words.RESEND_KEY, RESEND), (words.RULE_KEY, RULES)):
        value = document.get(key)
        if value is not None and value not in allowed:
            faults.append(Fault(f"{path}.{key}", f"{shown(value)} is none of {', '.join(allowed)}"))
    return faults


def retry_delay_s(base_s: float, longest_s: float, attempt: int, key: str) -> float:
    """How long to wait after a failed attempt: doubled with each, at most `longest_s`, and of that half to all.

    The share is drawn from `key` and the attempt, so it differs between components and is the same each time.
    """
    doubled = base_s * 2.0 ** min(attempt - 1, 60)
    drawn = int.from_bytes(hashlib.sha256(f"{key}/{attempt}".encode()).digest()[:6])
    return min(doubled, longest_s) * (0.5 + drawn / 2**49)


@dataclass(frozen=True)
class Overdue:
    """A deadline that has passed. `what` says what did not happen in time."""

    at: datetime
    what: str


def earliest_deadline(
    policy: Policy, timeout_s: float, started_at: datetime, seen_at: datetime | None
) -> Overdue | None:
    """Until when something must be heard of an attempt; None for ever. `timeout_s` is what holds for its reply."""
    found: list[Overdue] = []
    if timeout_s:
        found.append(Overdue(started_at + timedelta(seconds=timeout_s), "had no reply"))
    if policy.start_timeout_s and seen_at is None:
        found.append(Overdue(started_at + timedelta(seconds=policy.start_timeout_s), "was not begun"))
    if policy.heartbeat_timeout_s:
        at = (seen_at or started_at) + timedelta(seconds=policy.heartbeat_timeout_s)
        found.append(Overdue(at, "gave no sign of life"))
    return min(found, key=lambda one: one.at, default=None)


def _is_number(value: Any, kind: Any, largest: float) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and 0 < value <= largest
