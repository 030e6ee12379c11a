"""The one writer of graphs.

Every function that decides on a graph first locks its row (SQLite: its immediate transaction locks all), so two writers
never decide on the same graph at the same time. Events are written in the transaction of what they tell.
"""

from graphs.store.submitting import submit

__all__ = ["submit"]
