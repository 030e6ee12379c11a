"""The state machines of workers and commands."""

from scheduler_project.toolkit.states import StateMachine

WORKER = StateMachine(
    "worker",
    {
        "connected": frozenset({"disconnected"}),
        "disconnected": frozenset({"connected"}),
    },
)

COMMAND = StateMachine(
    "command",
    {
        "pending": frozenset({"scheduled", "running", "done", "dead", "cancelled"}),
        "scheduled": frozenset({"pending", "running", "done", "dead", "cancelled"}),
        "running": frozenset({"pending", "done", "dead", "cancelled"}),
        "done": frozenset(),
        "dead": frozenset(),
        "cancelled": frozenset(),
    },
)
