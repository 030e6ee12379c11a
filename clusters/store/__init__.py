"""The one writer of desired and issued state.

Invariant: every change is conditional on the state it was decided for; its event is written in the same transaction.
"""

from clusters.store.desired import apply_changes, remove_cluster, scale
from clusters.store.issued import KEEP_ENDED, apply_plan, apply_reports, claim_turn, clear_away, resend, stop_task

__all__ = [
    "KEEP_ENDED",
    "apply_changes",
    "apply_plan",
    "apply_reports",
    "claim_turn",
    "clear_away",
    "remove_cluster",
    "resend",
    "scale",
    "stop_task",
]
