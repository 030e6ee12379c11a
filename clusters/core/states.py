"""The state machine of a task, and the groups of its states that decisions speak of."""

from scheduler_project.toolkit.states import StateMachine

TASK = StateMachine(
    "task",
    {
        "issued": frozenset({"starting", "running", "failing", "stopping", "stopped", "rejected", "lost"}),
        "starting": frozenset({"running", "failing", "stopping", "stopped", "rejected", "lost"}),
        "running": frozenset({"starting", "failing", "stopping", "stopped", "rejected", "lost"}),
        "failing": frozenset({"starting", "running", "stopping", "stopped", "rejected", "lost"}),
        "stopping": frozenset({"stopped", "rejected", "lost"}),
        "stopped": frozenset(),
        "rejected": frozenset(),
        "lost": frozenset(),
    },
)

LIVE = frozenset({"issued", "starting", "running", "failing"})
"""Wanted on its host: it runs, or should."""

UNFINISHED = LIVE | {"stopping"}
"""It may have processes on its host, so it holds its ports and resources."""
