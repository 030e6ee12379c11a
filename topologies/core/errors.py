"""What can be wrong with a topology, its trigger or its runs."""

from scheduler_project.toolkit.errors import SchedulerError


class TopologyError(SchedulerError):
    """Something is wrong with a topology."""

    http_status = 422
    code = "topology"


class BadCron(TopologyError):
    """The cron expression is not one that Quartz understands."""

    code = "bad-cron"


class BadTimezone(TopologyError):
    """There is no such time zone; use a name such as Europe/Berlin or UTC."""

    code = "bad-timezone"
