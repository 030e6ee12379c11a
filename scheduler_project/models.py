"""What all apps share: the event log, API tokens, leases and counts."""

from django.conf import settings
from django.db import models


class Level(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Event(models.Model):
    """One thing that happened to one object. Rows are added and, when they are old, forgotten; never changed.

    `subject` is `<kind>:<id>`, such as `graph:b1`, `worker:host-a`, `service:web`.
    """

    at = models.DateTimeField(db_index=True)
    name = models.CharField(max_length=64, help_text="what happened, such as component.completed")
    subject = models.CharField(max_length=255)
    level = models.CharField(max_length=8, choices=Level.choices, default=Level.INFO)
    message = models.TextField(blank=True, help_text="the reason or news, for a person to read")
    data = models.JSONField(default=dict, blank=True)
    actor = models.CharField(max_length=150, blank=True, help_text="the user who caused it, empty for the system")

    class Meta:
        indexes = [models.Index(fields=["subject", "id"]), models.Index(fields=["level", "id"])]
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name} {self.subject}"


class ApiToken(models.Model):
    """A user's key to the HTTP API. Only its digest is kept; the token itself is shown once."""

    name = models.CharField(max_length=100)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"


class Lease(models.Model):
    """The right to lead, held for a while. `token` grows with every new holder: writers of old tokens are refused."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=100)
    token = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} held by {self.holder}"


class Counted(models.Model):
    """A count of rows as it was at a time, for `/metrics`."""

    name = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField()
    took_s = models.FloatField(help_text="how long the counting took")
    counts = models.JSONField(default=dict, help_text="by state, or by reason")

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"
