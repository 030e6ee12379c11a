"""The clock: what beat sends, and the rule that of any number of beats one leads.

Each periodic message expires after its period, so that none pile up while no control worker runs.
"""

from typing import Any

PERIODIC_TASKS_S = {
    "scheduler.pulse": 5.0,
    "workers.sweep": 1.0,
    "graphs.sweep": 1.0,
    "clusters.sweep": 1.0,
    "topologies.fire_due": 1.0,
}


def clock_settings(queue: str) -> dict[str, Any]:
    """Celery's settings for beat."""
    return {
        "beat_scheduler": "scheduler_project.clock:LeasedScheduler",
        "beat_max_loop_interval": 1,
        "beat_schedule": {
            name: {"task": name, "schedule": every_s, "options": {"queue": queue, "expires": max(every_s, 5)}}
            for name, every_s in PERIODIC_TASKS_S.items()
        },
    }
