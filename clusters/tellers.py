"""What a host's page tells of services: the tasks that are on the host now."""

from clusters.models import Task
from workers.models import Worker
from workers.tellers import Told

TASKS_SHOWN = 100


def tasks_of(worker: Worker) -> Told:
    """The tasks whose processes may be on the host."""
    rows = Task.objects.occupying().filter(host=worker).select_related("service", "definition")
    tasks = list(rows.order_by("name")[:TASKS_SHOWN])
    return Told("Tasks of services", len(tasks), "clusters/_tasks.html", {"tasks": tasks}, "task: service:")
