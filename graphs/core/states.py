"""The state machines of graphs and their components.

A running component goes back to waiting when its send is not known to have happened, or when no reply came in time and
its mapping allows another attempt; it is then sent again under the next attempt.
"""

from scheduler_project.toolkit.states import StateMachine

COMPONENT = StateMachine(
    "component",
    {
        "waiting": frozenset({"running", "errored", "cancelled", "skipped"}),
        "running": frozenset({"completed", "errored", "cancelled", "waiting"}),
        "completed": frozenset(),
        "errored": frozenset(),
        "cancelled": frozenset(),
        "skipped": frozenset(),
    },
)

GRAPH = StateMachine(
    "graph",
    {
        "pending": frozenset({"running", "completed", "errored", "cancelled"}),
        "running": frozenset({"completed", "errored", "cancelled"}),
        "completed": frozenset(),
        "errored": frozenset(),
        "cancelled": frozenset(),
    },
)
