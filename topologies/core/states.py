"""The state machines of topologies and their runs.

A run that is skipped or missed never had a graph; it is recorded so that its absence has a reason.
"""

from scheduler_project.toolkit.states import StateMachine

TOPOLOGY = StateMachine(
    "topology",
    {
        "active": frozenset({"paused", "deleted"}),
        "paused": frozenset({"active", "deleted"}),
        "deleted": frozenset(),
    },
)

RUN = StateMachine(
    "run",
    {
        "running": frozenset({"successful", "completed", "failed", "cancelled", "skipped", "missed"}),
        "successful": frozenset(),
        "completed": frozenset(),
        "failed": frozenset(),
        "cancelled": frozenset(),
        "skipped": frozenset(),
        "missed": frozenset(),
    },
)
