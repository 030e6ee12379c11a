"""The one writer of workers and commands: every change is a compare-and-set with its events in one transaction.

Invariant: nothing outside this package writes those tables, and all sends happen after commit.
"""

from workers.output import output_of
from workers.store.commands import cancel, submit

__all__ = ["cancel", "output_of", "submit"]
