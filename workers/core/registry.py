"""Whose heartbeat counts: which row a heartbeat belongs to, and which of two sessions holds a name.

Invariant: a session that has been followed by a newer one never counts again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from workers.protocol import Heartbeat


@dataclass(frozen=True)
class Known:
    """A row of the registry. `session_started_at` is Unix s by the agent's clock."""

    id: str
    name: str
    session: str
    session_started_at: float
    connected: bool
    stopped: bool
    journal: str = ""


class Claim(StrEnum):
    """What a heartbeat means for the registry."""

    NEW = "new"
    ALIVE = "alive"
    RETURNED = "returned"
    RESTARTED = "restarted"
    TAKEN_OVER = "taken over"
    RENAMED = "renamed"
    REFUSED = "refused"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Judgement:
    """The claim, and its reason for a person to read."""

    claim: Claim
    reason: str = ""


def newest(heartbeats: Iterable[Heartbeat]) -> list[Heartbeat]:
    """Of each session the last one; after a goodbye nothing counts."""
    found: dict[tuple[str, str], Heartbeat] = {}
    for heartbeat in heartbeats:
        key = (heartbeat.host, heartbeat.session)
        if key not in found or not found[key].stopping:
            found[key] = heartbeat
    return list(found.values())


def judge(heartbeat: Heartbeat, by_name: Known | None, by_id: Known | None) -> Judgement:
    """Judges a heartbeat against the row of its name and the row of its worker id."""
    if by_name is not None and by_name.id == heartbeat.worker_id:
        return _judge_session(heartbeat, by_name)
    if by_id is not None and (by_name is not None or by_id.connected):
        reason = f"the worker id {by_id.id} is {by_id.name}'s; give {heartbeat.host} a data folder of its own"
        return Judgement(Claim.REFUSED, reason)
    if by_id is not None:
        return Judgement(Claim.RENAMED, f"it was {by_id.name}")
    if by_name is None:
        return Judgement(Claim.NEW, "its agent connected for the first time")
    if _held_against(heartbeat, by_name):
        return Judgement(Claim.SUPERSEDED, f"a newer agent, {by_name.id}, has claimed the name {by_name.name}")
    return Judgement(Claim.TAKEN_OVER, f"the name passed from worker {by_name.id} to {heartbeat.worker_id}")


def forgets(heartbeat: Heartbeat, row: Known | None) -> bool:
    """Whether the agent cannot know what the worker was sent before: its journal is another."""
    if row is None:
        return False
    return heartbeat.worker_id != row.id or row.journal not in ("", heartbeat.journal)


def next_fence(fence: int, now: datetime) -> int:
    """The fencing token of a new session. It is not below the Unix time in seconds, so that it grows also where the
    worker had been removed and its last token with it.
    """
    return max(fence + 1, int(now.timestamp()))


def _judge_session(heartbeat: Heartbeat, row: Known) -> Judgement:
    if heartbeat.session != row.session:
        if _held_against(heartbeat, row):
            return Judgement(Claim.SUPERSEDED, "its agent has been started anew since this session")
        return Judgement(Claim.RESTARTED, "its agent was started")
    if row.stopped and not heartbeat.stopping:
        return Judgement(Claim.REFUSED, "its agent had said that it stops")
    if row.connected or heartbeat.stopping:
        return Judgement(Claim.ALIVE)
    return Judgement(Claim.RETURNED, "it is heard again")


def _held_against(heartbeat: Heartbeat, row: Known) -> bool:
    """A lost agent's name is free for any session: a machine's clock may have gone back since."""
    return row.connected and (heartbeat.started_at, heartbeat.session) <= (row.session_started_at, row.session)
