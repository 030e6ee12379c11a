"""Several processes' worth of writers on the same graphs at once, in threads, each with a connection of its own."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from random import Random
from threading import Event as Signal
from typing import Any, TypeVar

import pytest
from django.db import connection, connections
from django.utils import timezone

from graphs import store
from graphs.core.advance import Report
from graphs.core.replies import Reply
from graphs.models import Component, Graph
from graphs.providers.base import Send
from graphs.store.ledger import writing
from scheduler_project.models import Event
from scheduler_project.toolkit.errors import Conflict
from scheduler_project.toolkit.events import NewEvent
from tests.integration.graphs.mappings import mapping
from tests.integration.graphs.test_cost import WIDTH, layers
from tests.support.wait import wait_until

GRAPHS = ("a", "b", "c")
COMPONENTS = 4 * WIDTH
WISHES = 30
SENT_AT_ONCE = 5
ENDS_WITHIN_S = 120
Result = TypeVar("Result")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(180),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time anyway"),
]


class GivenUp(Exception):
    """Rolls a transaction back."""


class Writers:
    """What threads do until `over`. Any error of theirs, a deadlock say, is the test's."""

    def __init__(self) -> None:
        self.over = Signal()
        self.sends: SimpleQueue[Send] = SimpleQueue()
        self.polls = 0

    def bridge(self, seed: int) -> None:
        """Sends what is ready and brings replies to what any bridge has sent; some come twice, some are failures."""
        random = Random(seed)
        while not self.over.is_set():
            claimed = retried(lambda: store.claim_any(["nats"], timezone.now()))
            self._keep(claimed.sends)
            store.mark_sent(claimed.sends, timezone.now())
            replies = [reply_to(send, random) for send in self._some(random)]
            if replies:
                doubled = [*replies, random.choice(replies)]
                self._keep(retried(partial(store.apply_replies, doubled, ["nats"], timezone.now())).sends)

    def sweeper(self, _seed: int) -> None:
        """Does again what may have been left undone."""
        while not self.over.is_set():
            retried(lambda: store.sweep(timezone.now()))

    def person(self, seed: int) -> None:
        """Pauses, unpauses, marks and retries, a number of times; at the end nothing stays paused."""
        random = Random(seed)
        for _ in range(WISHES):
            graph_id, component_id = random.choice(GRAPHS), f"vpc::{random.randrange(COMPONENTS)}"
            wishes: list[Callable[[], Any]] = [
                partial(store.pause, graph_id, timezone.now(), "ann"),
                partial(store.unpause, graph_id, timezone.now(), "ann"),
                partial(store.mark, graph_id, component_id, "skip", timezone.now(), "ann"),
                partial(store.retry_component, graph_id, component_id, timezone.now(), "ann"),
            ]
            with suppress(Conflict):
                retried(random.choice(wishes))
        for graph_id in GRAPHS:
            with suppress(Conflict):
                retried(partial(store.unpause, graph_id, timezone.now(), "ann"))

    def waverer(self, seed: int) -> None:
        """Takes numbers and gives them back, as its transactions are rolled back."""
        random = Random(seed)
        while not self.over.is_set():
            with suppress(GivenUp), writing([random.choice(GRAPHS)], timezone.now()) as ledger:
                [graph_id] = ledger.graphs
                ledger.tell(NewEvent("graph.never_happened", f"graph:{graph_id}"))
                ledger.close()
                raise GivenUp

    def reader(self, _seed: int) -> None:
        """Sees at every moment a beginning of each log: whoever commits first has the smaller number."""
        while not self.over.is_set():
            for graph_id, numbers in logs().items():
                assert numbers == list(range(1, len(numbers) + 1)), graph_id
            self.polls += 1

    def _keep(self, sends: tuple[Send, ...]) -> None:
        for send in sends:
            self.sends.put(send)

    def _some(self, random: Random) -> Iterator[Send]:
        with suppress(Empty):
            for _ in range(random.randint(1, SENT_AT_ONCE)):
                yield self.sends.get_nowait()


def retried(write: Callable[[], Result]) -> Result:
    """As every writer does that has lost a race: nothing was written, so it is done again."""
    while True:
        with suppress(store.LostRace):
            return write()


def reply_to(send: Send, random: Random) -> Reply:
    """One in ten attempts fails; each may be followed by many more."""
    outcome = "errored" if random.random() < 0.1 else "completed"
    return Reply(send.graph_id, Report(send.component_id, outcome, "by chance", send.attempt), {})


def logs() -> dict[str, list[int]]:
    """The numbers in each graph's log, in the order in which its rows were written, as one statement sees them."""
    found: dict[str, list[int]] = defaultdict(list)
    events = Event.objects.filter(subject__startswith="graph:").order_by("id")
    for subject, data in events.values_list("subject", "data"):
        found[subject.removeprefix("graph:")].append(data["number"])
    return found


def submit(graph_id: str) -> None:
    document = mapping(layers(COMPONENTS), graph_id)
    for change in document["changes"]:
        change |= {"_attempts": 1000, "_resend": "always", "_retry_delay_s": 0.001}
    store.submit(document, timezone.now(), source="http")


def all_over() -> bool:
    return not Graph.objects.unfinished().exists()


def test_logs_are_numbered_without_gaps_in_the_order_of_commits_however_many_write() -> None:
    for graph_id in GRAPHS:
        submit(graph_id)
    writers = Writers()
    roles = [*[writers.bridge] * 3, writers.sweeper, writers.waverer, writers.waverer, writers.reader]

    def at_work(role: Callable[[int], None], seed: int) -> None:
        try:
            role(seed)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(roles) + 1) as threads:
        seeds = count(1)
        person = threads.submit(at_work, writers.person, next(seeds))
        others = [threads.submit(at_work, role, next(seeds)) for role in roles]
        try:
            person.result(ENDS_WITHIN_S)
            wait_until(lambda: all_over() or any(one.done() for one in others), ENDS_WITHIN_S, what="ends of graphs")
        finally:
            writers.over.set()
        for one in others:
            one.result(ENDS_WITHIN_S)

    assert writers.polls > 0
    for graph in Graph.objects.all():
        assert graph.state == "completed"
        assert logs()[graph.pk] == list(range(1, graph.events + 1))
        assert graph.counts == counted(graph)


def counted(graph: Graph) -> dict[str, int]:
    """The graph's components by state, as its rows tell."""
    states = list(Component.objects.changes().filter(graph=graph).values_list("state", flat=True))
    return {state: states.count(state) for state in graph.counts}
