"""The state machines of graphs and their components.

A running component goes back to waiting when it may be sent again: its send is not known to have happened, or its
attempt failed and its mapping allows another; it is then sent under the next attempt. Out of a final state only a
person's decision leads: a resume, a retry, a mark.
"""

from scheduler_project.toolkit.states import StateMachine

COMPONENT = StateMachine(
    "component",
    {
        "waiting": frozenset({"running", "completed", "errored", "cancelled", "skipped"}),
        "running": frozenset({"completed", "errored", "cancelled", "skipped", "waiting"}),
        "completed": frozenset(),
        "errored": frozenset(),
        "cancelled": frozenset(),
        "skipped": frozenset(),
    },
    reopening={
        "completed": frozenset({"waiting"}),
        "errored": frozenset({"waiting", "running", "completed", "skipped"}),
        "cancelled": frozenset({"waiting", "running", "completed", "skipped"}),
        "skipped": frozenset({"waiting", "completed"}),
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
    reopening={
        "completed": frozenset({"running"}),
        "errored": frozenset({"running"}),
        "cancelled": frozenset({"running"}),
    },
)
