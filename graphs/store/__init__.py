"""The one writer of graphs.

Every function that decides on a graph first locks its row (SQLite: its immediate transaction locks all), so two writers
never decide on the same graph at the same time. Events are written in the transaction of what they tell.
"""

from graphs.core.cancelling import Told
from graphs.store.announcing import mark_announced, take_announcements
from graphs.store.cancelling import cancel
from graphs.store.circuits import reset as reset_circuit
from graphs.store.deciding import DECISIONS, approve, mark, reject
from graphs.store.family import settle_parents
from graphs.store.forgetting import forget, unfinished_among
from graphs.store.moving import (
    advance,
    apply_replies,
    claim,
    claim_any,
    mark_sent,
    refuse_sends,
    settle_commands,
    sweep,
)
from graphs.store.notices import forget_notices, is_wanted, take_notices
from graphs.store.pausing import pause, unpause
from graphs.store.reopening import plan_resume, plan_retry, resume_graph, retry_component
from graphs.store.rows import LostRace
from graphs.store.submitting import submit

__all__ = [
    "DECISIONS",
    "LostRace",
    "Told",
    "advance",
    "apply_replies",
    "approve",
    "cancel",
    "claim",
    "claim_any",
    "forget",
    "forget_notices",
    "is_wanted",
    "mark",
    "mark_announced",
    "mark_sent",
    "pause",
    "plan_resume",
    "plan_retry",
    "refuse_sends",
    "reject",
    "reset_circuit",
    "resume_graph",
    "retry_component",
    "settle_commands",
    "settle_parents",
    "submit",
    "sweep",
    "take_announcements",
    "take_notices",
    "unfinished_among",
    "unpause",
]
