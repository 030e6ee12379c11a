"""The host registry and the commands that ran or will run on hosts."""

from django.conf import settings
from django.db import models

from workers.core.states import COMMAND, WORKER


class WorkerQuerySet(models.QuerySet["Worker"]):
    def connected(self) -> "WorkerQuerySet":
        return self.filter(state="connected")

    def taking_work(self) -> "WorkerQuerySet":
        """Workers on which something new may be placed."""
        return self.connected().filter(draining=False)


class Worker(models.Model):
    """One host: the machine that an agent serves. `name` is its queue's name; `id` survives restarts of the agent."""

    id = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=100, unique=True)
    address = models.CharField(max_length=255, blank=True)
    version = models.CharField(max_length=32, blank=True)
    session = models.CharField(max_length=64, blank=True, help_text="new at each start of the agent")
    state = models.CharField(max_length=16, choices=[(s, s) for s in WORKER.states], default="connected")
    reason = models.TextField(blank=True, help_text="why it is in this state")
    draining = models.BooleanField(default=False, help_text="takes nothing new; owned by the operator")
    labels = models.JSONField(default=dict, blank=True, help_text="declared by the operator, such as zone=a")
    facts = models.JSONField(default=dict, blank=True, help_text="detected: cores, memory_mb, executors, ports …")
    slots = models.PositiveIntegerField(default=0, help_text="how many commands may run at once")
    running = models.PositiveIntegerField(default=0, help_text="units running, as the agent said last")
    registered_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    silent_at = models.DateTimeField(db_index=True, help_text="disconnected when nothing is heard by then")
    changed_at = models.DateTimeField(help_text="when the state last changed")
    session_started_at = models.FloatField(default=0, help_text="Unix s by the agent's clock; the newer session wins")
    stopped = models.BooleanField(default=False, help_text="its session said goodbye; only a new one connects it")
    applied_seq = models.PositiveBigIntegerField(default=0, help_text="last report applied of the session")
    gap_seq = models.PositiveBigIntegerField(default=0, help_text="report that came although some before it had not")
    turn = models.PositiveBigIntegerField(default=0, help_text="grows with each command given; the lowest is next")
    refused_reports = models.PositiveBigIntegerField(default=0, help_text="reports of sessions that are not its own")
    refused_session = models.CharField(max_length=64, blank=True, help_text="the session that was refused last")

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class CommandQuerySet(models.QuerySet["Command"]):
    def unfinished(self) -> "CommandQuerySet":
        return self.exclude(state__in=COMMAND.final)


class Command(models.Model):
    """One argv, run once on one worker.

    `owner` says what it is part of (such as `component/<graph>/<component>/<attempt>`), empty for an operator's own.
    """

    id = models.CharField(max_length=36, primary_key=True, help_text="UUIDv7, so ids sort by time")
    argv = models.JSONField()
    env = models.JSONField(default=dict, blank=True)
    cwd = models.CharField(max_length=1024, blank=True)
    stdin = models.BinaryField(default=b"", blank=True)
    on = models.CharField(max_length=500, blank=True, help_text="where it may run: a worker's name or an expression")
    timeout_s = models.FloatField(default=0, help_text="0 for no limit")
    grace_s = models.FloatField(default=10, help_text="between TERM and KILL")
    output_limit_bytes = models.PositiveIntegerField(default=1_048_576, help_text="kept of each stream")
    owner = models.CharField(max_length=600, blank=True, db_index=True)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, unique=True)
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    state = models.CharField(max_length=16, choices=[(s, s) for s in COMMAND.states], default="pending")
    attempt = models.PositiveIntegerField(default=0, help_text="the fencing token of what was sent")
    worker = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="commands")
    reason = models.TextField(blank=True, help_text="why it waits, died or was cancelled")
    cancel_requested = models.BooleanField(default=False)
    exit_code = models.IntegerField(null=True, blank=True)
    signal = models.IntegerField(null=True, blank=True)
    start_error = models.TextField(blank=True)
    timed_out = models.BooleanField(default=False)
    stdout_bytes = models.PositiveBigIntegerField(default=0)
    stderr_bytes = models.PositiveBigIntegerField(default=0)

    created_at = models.DateTimeField()
    scheduled_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True, help_text="when its worker acknowledged it")
    remind_at = models.DateTimeField(
        null=True, blank=True, help_text="placed, sent again or asked after when nothing is heard by then"
    )
    late_reports = models.PositiveIntegerField(default=0, help_text="reports that changed nothing")
    start_by = models.DateTimeField(null=True, blank=True, help_text="dead when not started by then")
    run_by = models.DateTimeField(null=True, blank=True, help_text="dead when its end is not reported by then")

    objects = CommandQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["state", "id"]),
            models.Index(fields=["state", "remind_at"]),
            models.Index(fields=["worker", "state"]),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"

    @property
    def succeeded(self) -> bool:
        return self.state == "done" and self.exit_code == 0


class CommandOutput(models.Model):
    """A piece of a command's output, apart from the state row. `offset` counts bytes of the stream."""

    command = models.ForeignKey(Command, on_delete=models.CASCADE, related_name="output")
    stream = models.CharField(max_length=6, choices=[("stdout", "stdout"), ("stderr", "stderr")])
    offset = models.PositiveBigIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["command", "stream", "offset"], name="one_piece_per_offset"),
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.command_id} {self.stream}+{self.offset}"


class Mark(models.Model):
    """When something that must not be taken for granted last happened; `sweep` is the sweeper's last tick."""

    name = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"
