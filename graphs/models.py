"""Graphs, their components and the edges between them.

A component stands twice where it exists and is also to be changed: once in each part, as in the mapping. Rows are kept
in the mapping's order by their primary keys.
"""

from collections.abc import Sequence

from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from graphs.core.cancelling import Told
from graphs.core.ends import Standing, rules_that_start
from graphs.core.environments import STATES as ENVIRONMENT_STATES
from graphs.core.policy import Policy
from graphs.core.rules import AFTER_CANCEL, AFTER_ERROR, ALL_COMPLETED, RULES
from graphs.core.states import COMPONENT, GRAPH

SOURCES = ("nats", "http", "cli", "topology", "graph")


class Part(models.TextChoices):
    """Which list of the mapping a component stands in."""

    EXISTS = "components", "exists"
    CHANGE = "changes", "to do"


class GraphQuerySet(models.QuerySet["Graph"]):
    def unfinished(self) -> "GraphQuerySet":
        return self.exclude(state__in=GRAPH.final)

    def chosen(self, state: str = "", words: str = "", source: str = "", attention: str = "") -> "GraphQuerySet":
        """Of this state and source, with these words in name or id; with `attention`, those that need a person."""
        found = self.filter(state=state) if state else self
        if words:
            found = found.filter(Q(name__icontains=words) | Q(id__icontains=words))
        if source:
            found = found.filter(source=source)
        return found.filter(needs_attention__gt=0) if attention else found

    def starting_things(self) -> "GraphQuerySet":
        """Graphs in which something may be started: neither over nor paused, and with room for more."""
        room = Q(parallel=0) | Q(running__lt=F("parallel"))
        return self.filter(room, state__in=("pending", "running"), paused_at__isnull=True)

    def with_ready(self, backends: Sequence[str], shut: Sequence[str] = ()) -> "GraphQuerySet":
        """Graphs with components that may be started now by these providers, the words in `shut` left out."""
        ready = Component.objects.ready().filter(graph=OuterRef("pk"), backend__in=backends)
        if shut:
            ready = ready.exclude(provider__in=shut)
        usual = Q(Exists(ready), errored__lte=F("forgiven"), cancel_requested_at__isnull=True)
        after_error = Q(Exists(ready.filter(rule__in=AFTER_ERROR)), has_rules=True, cancel_requested_at__isnull=True)
        after_cancel = Q(Exists(ready.filter(rule__in=AFTER_CANCEL)), has_rules=True)
        return self.starting_things().filter(usual | after_error | after_cancel)


class Graph(models.Model):
    """One build. Counters of its changes by state are kept with every move, so that no step has to count rows."""

    id = models.CharField(max_length=255, primary_key=True)
    serial = models.CharField(max_length=36, unique=True, help_text="UUIDv7, so that graphs sort by when they came")
    name = models.CharField(max_length=255, blank=True)
    action = models.CharField(max_length=32, help_text="the subject that starts it, such as build.create")
    options = models.JSONField(null=True, blank=True)
    user_id = models.BigIntegerField(null=True, blank=True, help_text="as given in the mapping")
    username = models.CharField(max_length=255, blank=True, help_text="as given in the mapping")
    extra = models.JSONField(default=dict, blank=True, help_text="other keys of the mapping, carried through")
    source = models.CharField(max_length=16, choices=[(s, s) for s in SOURCES])
    actor = models.CharField(max_length=150, blank=True, help_text="who submitted it, empty for the system")
    digest = models.CharField(max_length=64, help_text="of the mapping as submitted; tells a repeat from another")

    state = models.CharField(max_length=16, choices=[(s, s) for s in GRAPH.states], default="pending")
    reason = models.TextField(blank=True, help_text="why it is in this state")
    version = models.PositiveBigIntegerField(default=0, help_text="grows with every change of the graph")
    events = models.PositiveBigIntegerField(default=0, help_text="the number of its last event")
    run = models.PositiveIntegerField(default=1, help_text="grows when it goes on after its end; each run ends once")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_told = models.PositiveSmallIntegerField(
        choices=[(one.value, one.name.lower()) for one in Told],
        default=Told.NOBODY.value,
        help_text="whom its cancel tells",
    )
    paused_at = models.DateTimeField(null=True, blank=True, help_text="nothing new is started since then")
    paused_from_above = models.BooleanField(default=False, help_text="paused only as the graph that it is inside of is")
    parallel = models.PositiveIntegerField(default=0, help_text="how many components may run at once; 0 for any number")
    has_rules = models.BooleanField(default=False, help_text="whether a component has another rule than all_completed")
    needs_attention = models.PositiveIntegerField(default=0, help_text="components whose fate a person must decide")
    forgiven = models.PositiveIntegerField(default=0, help_text="failed components that do not stop it any more")
    parent = models.ForeignKey(
        "Component",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="children",
        help_text="the component of another graph that this graph carries out",
    )
    depth = models.PositiveSmallIntegerField(default=0, help_text="how many graphs it is inside of")
    waiting = models.PositiveIntegerField(default=0)
    running = models.PositiveIntegerField(default=0)
    completed = models.PositiveIntegerField(default=0)
    errored = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    announce_at = models.DateTimeField(null=True, blank=True, help_text="its end is to be announced from then on")
    announced_at = models.DateTimeField(null=True, blank=True, help_text="when its end was announced on NATS")

    objects = GraphQuerySet.as_manager()

    class Meta:
        ordering = ["-serial"]
        indexes = [
            models.Index(fields=["state", "serial"], name="graph_state"),
            models.Index(fields=["announce_at"], name="graph_to_announce", condition=Q(announce_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.name or self.id} {self.state}"

    @property
    def counts(self) -> dict[str, int]:
        """Its changes by state."""
        return {state: getattr(self, state) for state in COMPONENT.states}

    @property
    def standing(self) -> Standing:
        """The graph as a whole, for the decisions of `graphs.core`."""
        cancelled = self.cancel_requested_at is not None
        return Standing(self.counts, cancelled, self.paused_at is not None, self.forgiven, self.has_rules)

    @property
    def rules_that_start(self) -> tuple[str, ...]:
        """The rules whose components may be started in it now."""
        return () if self.state in GRAPH.final else rules_that_start(self.standing)

    @property
    def room(self) -> int | None:
        """How many more components may run in it; None for any number."""
        return max(self.parallel - self.running, 0) if self.parallel else None


class ComponentQuerySet(models.QuerySet["Component"]):
    def changes(self) -> "ComponentQuerySet":
        return self.filter(part=Part.CHANGE)

    def existing(self) -> "ComponentQuerySet":
        return self.filter(part=Part.EXISTS)

    def ready(self) -> "ComponentQuerySet":
        """Changes that wait for nothing, in the order of their edges. Whether their graph starts things is its own."""
        return self.changes().filter(state="waiting", blockers=0).order_by("graph_id", "position", "id")


class Component(models.Model):
    """One component of a graph. Only those of part `changes` are carried out and have a state, an attempt, blockers."""

    graph = models.ForeignKey(Graph, on_delete=models.CASCADE, related_name="components", db_index=False)
    part = models.CharField(max_length=10, choices=Part.choices)
    component_id = models.CharField(max_length=255)
    type = models.CharField(max_length=255, blank=True)
    provider = models.CharField(max_length=255, blank=True, help_text="as in _provider")
    backend = models.CharField(max_length=64, blank=True, help_text="alias of the provider that carries it out")
    verb = models.CharField(max_length=255, blank=True, help_text="as in _action")
    document = models.JSONField()

    state = models.CharField(max_length=16, choices=[(s, s) for s in COMPONENT.states], blank=True)
    reason = models.TextField(blank=True, help_text="why it is in this state")
    attempt = models.PositiveIntegerField(default=0, help_text="the fencing token of what was sent")
    position = models.PositiveIntegerField(default=0, help_text="its place in the order of the edges that lead to it")
    timeout_s = models.FloatField(default=0, help_text="how long a reply is awaited; 0 for the setting's value")
    attempts = models.PositiveIntegerField(default=1, help_text="how often it is sent while no reply comes in time")
    given = models.JSONField(null=True, blank=True, help_text="its document before templates were filled in")
    rule = models.CharField(max_length=16, choices=[(rule, rule) for rule in RULES], default=ALL_COMPLETED)
    policy = models.JSONField(null=True, blank=True, help_text="what it asks for beyond the defaults")
    blockers = models.PositiveIntegerField(default=0, help_text="what its rule is missing, and one until retry_at")
    retry_at = models.DateTimeField(null=True, blank=True, help_text="not sent again before")
    seen_at = models.DateTimeField(null=True, blank=True, help_text="the last sign that this attempt is at work")
    needs_attention = models.BooleanField(default=False, help_text="a person must decide what became of this attempt")
    silent = models.BooleanField(default=False, help_text="nobody knows what became of the last attempt")
    forgiven = models.BooleanField(default=False, help_text="failed, and does not stop its graph any more")
    decided_by = models.CharField(max_length=150, blank=True, help_text="who gave it this state by hand")
    handle = models.CharField(max_length=64, blank=True, help_text="the provider's own id of this attempt")
    started_at = models.DateTimeField(null=True, blank=True, help_text="when this attempt was claimed")
    sent_at = models.DateTimeField(null=True, blank=True, help_text="when this attempt was known to be sent")
    resend_at = models.DateTimeField(null=True, blank=True, help_text="sent again when not known to be sent by then")
    deadline_at = models.DateTimeField(null=True, blank=True, help_text="no reply is awaited after that")
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = ComponentQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["graph", "part", "component_id"], name="one_component_per_id_and_part"),
        ]
        indexes = [
            models.Index(fields=["graph", "state"], name="component_by_state", condition=Q(part="changes")),
            models.Index(
                fields=["graph", "position", "id"],
                name="component_ready",
                condition=Q(part="changes", state="waiting", blockers=0),
            ),
            models.Index(fields=["handle"], name="component_running_handle", condition=Q(state="running")),
            models.Index(fields=["backend"], name="component_running_backend", condition=Q(state="running")),
            models.Index(fields=["retry_at"], name="component_to_retry", condition=Q(retry_at__isnull=False)),
            models.Index(fields=["resend_at"], name="component_to_resend", condition=Q(resend_at__isnull=False)),
            models.Index(fields=["deadline_at"], name="component_deadline", condition=Q(deadline_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.component_id} {self.state}".strip()

    @property
    def wishes(self) -> Policy:
        """Its attempts, delays and deadlines."""
        return Policy.of(self.policy).within(self.timeout_s)


class Edge(models.Model):
    """`source` is completed before `destination` starts. No source means `start`, no destination means `end`."""

    graph = models.ForeignKey(Graph, on_delete=models.CASCADE, related_name="edges")
    source = models.ForeignKey(Component, null=True, blank=True, on_delete=models.CASCADE, related_name="edges_out")
    destination = models.ForeignKey(Component, null=True, blank=True, on_delete=models.CASCADE, related_name="edges_in")
    length = models.IntegerField(default=1, help_text="kept and given back; never used for scheduling")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.source_id or 'start'} → {self.destination_id or 'end'}"


class Attempt(models.Model):
    """An attempt that has ended, kept where its component's row does not tell it: it failed, or was not the first."""

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="history")
    number = models.PositiveIntegerField()
    run = models.PositiveIntegerField(help_text="the run of the graph that it was part of")
    outcome = models.CharField(max_length=16, help_text="completed, errored, cancelled, skipped, or unknown")
    reason = models.TextField(blank=True)
    handle = models.CharField(max_length=64, blank=True, help_text="the provider's own id of it")
    reply = models.TextField(blank=True, help_text="the beginning of what came back, secrets masked")
    sent = models.JSONField(null=True, blank=True, help_text="the document that was sent, secrets masked")
    decided_by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["component", "number"], name="one_row_per_component_attempt")]

    def __str__(self) -> str:
        return f"attempt {self.number} {self.outcome}"


class Notice(models.Model):
    """A connector is still to be told that an attempt is not wanted any more."""

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="notices")
    attempt = models.PositiveIntegerField()
    tell_at = models.DateTimeField(db_index=True, help_text="told from then on, by whichever bridge is first")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["component", "attempt"], name="one_notice_per_attempt")]

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.component_id} is not wanted"


class Circuit(models.Model):
    """What is known of a word in `_provider` that did not answer of late. Nothing is sent to it before `retry_at`."""

    provider = models.CharField(max_length=255, primary_key=True, help_text="as in _provider")
    failures = models.PositiveIntegerField(default=0, help_text="attempts in a row that it did not answer")
    openings = models.PositiveIntegerField(default=0, help_text="how often it was left alone")
    reason = models.TextField(blank=True)
    failed_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True, help_text="one component is sent then, to see")

    def __str__(self) -> str:
        return f"{self.provider}: {self.failures} without an answer"


class ProviderLimit(models.Model):
    """The lock of a provider that carries out a bounded number of components at once."""

    alias = models.CharField(max_length=64, primary_key=True)

    def __str__(self) -> str:
        return self.alias


class Environment(models.Model):
    """What builds of others change, one at a time; kept where we are the store of ernest's own programs."""

    id = models.CharField(max_length=255, primary_key=True)
    status = models.CharField(max_length=32, choices=[(s, s) for s in ENVIRONMENT_STATES], default="initializing")

    def __str__(self) -> str:
        return f"{self.id} {self.status}"


class Build(models.Model):
    """One build as ernest's own programs store it. What our engine carries out is a `Graph` of the same id."""

    id = models.CharField(max_length=255, primary_key=True)
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="builds")
    name = models.CharField(max_length=255, blank=True)
    user_id = models.BigIntegerField(null=True, blank=True)
    user_name = models.CharField(max_length=255, blank=True)
    type = models.CharField(max_length=32)
    status = models.CharField(max_length=32)
    definition = models.TextField(blank=True)
    mapping = models.JSONField(null=True, blank=True)
    mapping_at = models.DateTimeField(null=True, blank=True, help_text="when its mapping was last written")
    validation = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "id"]

    def __str__(self) -> str:
        return f"{self.name or self.id} {self.status}"


class Mirrored(models.Model):
    """How far an outside store has been told of a graph. Nothing of the graph itself depends on it."""

    graph = models.OneToOneField(Graph, on_delete=models.CASCADE, primary_key=True, related_name="mirrored")
    number = models.PositiveBigIntegerField(default=0, help_text="of the last event that it was told of")
    event_id = models.PositiveBigIntegerField(default=0, help_text="the same event's row")
    tries = models.PositiveIntegerField(default=0, help_text="how often in a row it did not take what it was told")
    again_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, help_text="why it did not")

    def __str__(self) -> str:
        return f"{self.graph_id} to {self.number}"
