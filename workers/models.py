"""The host registry, the keys of its agents, and the commands that ran or will run on hosts."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from workers.core.envelope import fingerprint
from workers.core.states import COMMAND, WORKER

OUTCOMES = ("done", "failed", "dead", "cancelled")


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
    journal = models.CharField(max_length=64, blank=True, help_text="its agent's memory; new only where that was lost")
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
    fence = models.PositiveBigIntegerField(default=0, help_text="fencing token of its session; grows with each")
    stopped = models.BooleanField(default=False, help_text="its session said goodbye; only a new one connects it")
    applied_seq = models.PositiveBigIntegerField(default=0, help_text="last report applied of the session")
    gap_seq = models.PositiveBigIntegerField(default=0, help_text="report that came although some before it had not")
    turn = models.PositiveBigIntegerField(default=0, help_text="grows with each command given; the lowest is next")
    refused_reports = models.PositiveBigIntegerField(default=0, help_text="reports of sessions that are not its own")
    refused_session = models.CharField(max_length=64, blank=True, help_text="the session that was refused last")
    refused_messages = models.JSONField(default=dict, blank=True, help_text="what its agent refused, by reason")

    done_count = models.PositiveBigIntegerField(default=0, help_text="its commands that ended with exit code 0")
    failed_count = models.PositiveBigIntegerField(default=0, help_text="its commands that ended otherwise")
    dead_count = models.PositiveBigIntegerField(default=0, help_text="its commands that never ran or were lost")
    cancelled_count = models.PositiveBigIntegerField(default=0, help_text="its commands that were cancelled")

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def counters(self) -> dict[str, int]:
        """How the commands ended that it was given, over all time."""
        return {outcome: getattr(self, f"{outcome}_count") for outcome in OUTCOMES}


class CommandQuerySet(models.QuerySet["Command"]):
    def unfinished(self) -> "CommandQuerySet":
        return self.exclude(state__in=COMMAND.final)


class Command(models.Model):
    """One argv, run once on one worker; again where it asks for retries and ended badly.

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
    user = models.CharField(max_length=64, blank=True, help_text="whom it runs as; empty for the agent's own user")
    memory_mb = models.PositiveIntegerField(default=0, help_text="0 for no limit")
    cpu_seconds = models.PositiveIntegerField(default=0, help_text="CPU time of each process; 0 for no limit")
    open_files = models.PositiveIntegerField(default=0, help_text="of each process; 0 for the agent's own limit")
    container = models.JSONField(default=dict, blank=True, help_text="the container that it runs in; empty for none")
    priority = models.SmallIntegerField(default=0, help_text="higher is placed and started first")
    start_within_s = models.FloatField(default=0, help_text="from when its turn came until it must have started")
    retries = models.PositiveSmallIntegerField(default=0, help_text="how often it is tried again after a bad end")
    retry_delay_s = models.FloatField(default=1, help_text="before the first retry; doubles with each")
    array_id = models.CharField(  # noqa: DJ001  (NULL keeps the other rows out of its index)
        max_length=36, null=True, blank=True, help_text="shared by the commands of one array"
    )
    array_index = models.PositiveIntegerField(null=True, blank=True)
    at_once = models.PositiveIntegerField(default=0, help_text="how many of its array run at once; 0 for all")
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
    start_error_kind = models.CharField(max_length=16, blank=True, help_text="not found, not allowed or other")
    timed_out = models.BooleanField(default=False)
    stdout_bytes = models.PositiveBigIntegerField(default=0)
    stderr_bytes = models.PositiveBigIntegerField(default=0)
    cpu_user_s = models.FloatField(null=True, blank=True)
    cpu_system_s = models.FloatField(null=True, blank=True)
    max_rss_kb = models.PositiveBigIntegerField(null=True, blank=True)
    wall_s = models.FloatField(null=True, blank=True, help_text="from its start to its end, by the host's clock")
    retried = models.PositiveSmallIntegerField(default=0, help_text="how many of its retries are used up")
    ended_attempt = models.PositiveIntegerField(default=0, help_text="the last attempt that was followed by a retry")
    held_by = models.CharField(  # noqa: DJ001  (NULL keeps the other rows out of its index)
        max_length=64, null=True, blank=True, help_text="the bound that it waits for"
    )

    created_at = models.DateTimeField()
    scheduled_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True, help_text="when its worker acknowledged it")
    remind_at = models.DateTimeField(
        null=True, blank=True, help_text="placed, sent again or asked after when nothing is heard by then"
    )
    late_reports = models.PositiveIntegerField(default=0, help_text="reports that changed nothing")
    not_before = models.DateTimeField(null=True, blank=True, help_text="a retry waits until then")
    ack_by = models.DateTimeField(
        null=True, blank=True, help_text="its order is void then, and is sent again to the same worker"
    )
    start_by = models.DateTimeField(null=True, blank=True, help_text="dead when not started by then")
    run_by = models.DateTimeField(null=True, blank=True, help_text="dead when its end is not reported by then")

    objects = CommandQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["state", "id"]),
            models.Index(fields=["state", "remind_at"]),
            models.Index(fields=["worker", "state"]),
            models.Index(fields=["state", "-priority", "remind_at", "id"], name="commands_to_place"),
            models.Index(fields=["array_id", "state"], name="commands_of_array", condition=Q(array_id__isnull=False)),
            models.Index(
                fields=["held_by", "-priority", "id"], name="commands_held", condition=Q(held_by__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"

    @property
    def succeeded(self) -> bool:
        return self.state == "done" and self.exit_code == 0

    @property
    def outcome(self) -> str:
        """A final state, with `failed` for what is done but did not succeed."""
        return "failed" if self.state == "done" and not self.succeeded else self.state


class CommandAttempt(models.Model):
    """An attempt of a command that ended badly and was followed by another; the row itself holds the last one.

    `stop_at`: it may still run on a worker that was lost with it, which is told then to stop it.
    """

    command = models.ForeignKey(Command, on_delete=models.CASCADE, related_name="attempts")
    attempt = models.PositiveIntegerField()
    worker = models.ForeignKey(Worker, null=True, blank=True, on_delete=models.SET_NULL, related_name="given_up")
    state = models.CharField(max_length=16)
    reason = models.TextField(blank=True)
    exit_code = models.IntegerField(null=True)
    signal = models.IntegerField(null=True)
    start_error = models.TextField(blank=True)
    start_error_kind = models.CharField(max_length=16, blank=True)
    timed_out = models.BooleanField(default=False)
    stdout_bytes = models.PositiveBigIntegerField(default=0)
    stderr_bytes = models.PositiveBigIntegerField(default=0)
    cpu_user_s = models.FloatField(null=True)
    cpu_system_s = models.FloatField(null=True)
    max_rss_kb = models.PositiveBigIntegerField(null=True)
    wall_s = models.FloatField(null=True)
    scheduled_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    stop_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["command", "attempt"], name="one_row_per_attempt")]
        ordering = ["command", "attempt"]

    def __str__(self) -> str:
        return f"{self.command_id} attempt {self.attempt} {self.state}"


class CommandOutput(models.Model):
    """A piece of the output of a command's attempt, apart from the state row. `offset` counts bytes of the stream."""

    command = models.ForeignKey(Command, on_delete=models.CASCADE, related_name="output")
    attempt = models.PositiveIntegerField()
    stream = models.CharField(max_length=6, choices=[("stdout", "stdout"), ("stderr", "stderr")])
    offset = models.PositiveBigIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["command", "attempt", "stream", "offset"], name="one_piece_per_offset"),
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.command_id}.{self.attempt} {self.stream}+{self.offset}"


class Mark(models.Model):
    """When something that must not be taken for granted last happened; `workers.sweep` is the sweeper's last tick."""

    name = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField()
    position = models.CharField(max_length=36, blank=True, help_text="the id up to which a walk over rows has come")

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"


class ForgottenCommand(models.Model):
    """A command that is gone from here and whose record in etcd is still to go; only with an etcd bridge."""

    id = models.CharField(max_length=36, primary_key=True)
    owner = models.CharField(max_length=600, blank=True)

    def __str__(self) -> str:
        return self.id


class JoinToken(models.Model):
    """An invitation for agents to enrol. Its secret is derived from control's, so none is kept here."""

    id = models.CharField(max_length=32, primary_key=True)
    host = models.CharField(max_length=100, blank=True, help_text="the one host that may use it; empty for any new one")
    uses_left = models.PositiveIntegerField(default=1)
    expires_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField()
    made_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.id} for {self.host or 'any host'}"


class Enrolment(models.Model):
    """The key with which a host's agent signs. It outlives the worker's row, so that a revoked key stays revoked."""

    host = models.CharField(max_length=100, primary_key=True)
    worker_id = models.CharField(max_length=64)
    public_key = models.CharField(max_length=64, help_text="Ed25519, hexadecimal")
    enrolled_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["host"]

    def __str__(self) -> str:
        return self.host

    @property
    def fingerprint(self) -> str:
        """A short name of the key, as the agent logs it."""
        return fingerprint(bytes.fromhex(self.public_key))


class SpentNonce(models.Model):
    """A message of an agent that was taken; kept until the message would have expired."""

    id = models.CharField(max_length=200, primary_key=True, help_text="<host>/<nonce>")
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.id


class RefusedMessages(models.Model):
    """How many messages to control had no effect, by reason."""

    reason = models.CharField(max_length=16, primary_key=True)
    count = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.reason}: {self.count}"
