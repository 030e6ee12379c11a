"""What can go wrong when acting on clusters, services and tasks."""

from scheduler_project.toolkit.errors import Conflict, InvalidDocument, NotFound, SchedulerError


class ClusterError(SchedulerError):
    """The action on the cluster failed."""


class NoSuchCluster(ClusterError, NotFound):
    """There is no such cluster."""


class NoSuchService(ClusterError, NotFound):
    """There is no such service."""


class NoSuchTask(ClusterError, NotFound):
    """There is no such task."""


class TaskNotLive(ClusterError, Conflict):
    """The task is stopping or has ended already."""


class NotANumberOfTasks(ClusterError, InvalidDocument):
    """The number of tasks is not usable."""
