"""The one writer of topologies and runs.

Whoever decides on a topology first locks its row (SQLite: its immediate transaction locks all). A run, its graph, the
topology's next fire and the events that tell of them are written in one transaction.
"""

from topologies.store.editing import create, delete, pause, save, unpause, update
from topologies.store.firing import fire_due
from topologies.store.forgetting import forget
from topologies.store.running import kill, run_now
from topologies.store.settling import settle_ended

__all__ = [
    "create",
    "delete",
    "fire_due",
    "forget",
    "kill",
    "pause",
    "run_now",
    "save",
    "settle_ended",
    "unpause",
    "update",
]
