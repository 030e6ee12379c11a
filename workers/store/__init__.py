"""The one writer of workers and commands: every change is a compare-and-set with its events in one transaction.

Invariant: nothing outside this package writes those tables, and all sends happen after commit.
"""

from workers.output import output_of
from workers.store.arrays import cancel_array
from workers.store.commands import cancel, submit, submit_array, submit_wanted
from workers.store.forgetting import forget, records_are_gone
from workers.store.placing import place_pending
from workers.store.registry import apply_heartbeats, remove, set_draining
from workers.store.reports import apply_command_reports, apply_reports
from workers.store.sweeping import sweep
from workers.store.trust import (
    count_unreadable,
    enrol,
    make_token,
    receive_heartbeats,
    receive_reports,
    revoke,
    withdraw_token,
)

__all__ = [
    "apply_command_reports",
    "apply_heartbeats",
    "apply_reports",
    "cancel",
    "cancel_array",
    "count_unreadable",
    "enrol",
    "forget",
    "make_token",
    "output_of",
    "place_pending",
    "receive_heartbeats",
    "receive_reports",
    "records_are_gone",
    "remove",
    "revoke",
    "set_draining",
    "submit",
    "submit_array",
    "submit_wanted",
    "sweep",
    "withdraw_token",
]
