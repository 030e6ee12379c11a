"""The one writer of graphs.

Every function that decides on a graph first locks its row (SQLite: its immediate transaction locks all), so two writers
never decide on the same graph at the same time. Events are written in the transaction of what they tell.
"""

from graphs.store.announcing import mark_announced, take_announcements
from graphs.store.cancelling import cancel
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
from graphs.store.rows import LostRace
from graphs.store.submitting import submit

__all__ = [
    "LostRace",
    "advance",
    "apply_replies",
    "cancel",
    "claim",
    "claim_any",
    "forget",
    "mark_announced",
    "mark_sent",
    "refuse_sends",
    "settle_commands",
    "submit",
    "sweep",
    "take_announcements",
    "unfinished_among",
]
