"""One history: two bridges, a control process, an operator and a far end, on a virtual clock and a virtual network.

The code under test is the real one: `graphs.bridge.loop.Bridge` and `graphs.store` on a real database. All that happens
is drawn from one seed, so a seed is a history. Hints between processes are all lost here: the sweep has to find
everything by itself. After `STORMY_S` nothing goes wrong any more, and every graph has to come to its end.
"""

import heapq
import json
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from random import Random

from django.db import InterfaceError, OperationalError
from django.db.models import Q

from graphs import store
from graphs.bridge.loop import BATCH, Bridge
from graphs.models import Graph
from graphs.simulation.cases import Case, make_case
from graphs.simulation.connector import Connector
from graphs.simulation.hazards import Crash, Hazards
from graphs.simulation.journal import Journal
from graphs.simulation.network import Faults, Network, VirtualLink
from graphs.simulation.wishes import WISHES, attend
from scheduler_project.toolkit.errors import SchedulerError
from workers.links.backlog import Message

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BRIDGES = 2
GRAPHS_MAX = 2
STORMY_S = 20.0
PATIENCE_S = 600.0
QUIET_AFTER_S = 5.0
WISHFUL_SHARE = 0.6
IDLE_S = 8.0
LOOK_WITHIN_S = 0.3
SWEEP_S = 5.0
ATTENTION_S = 20.0
RESTART_MAX_S = 5.0


@dataclass
class World:
    """Everything of one history. `journal` tells it; `cases` are the graphs that it builds.

    `unmarked` counts ends that a bridge announced and may not have noted before it died; `bugs` are faults of ours.
    """

    seed: int
    random: Random = field(init=False)
    hazards: Hazards = field(init=False)
    network: Network = field(init=False)
    connector: Connector = field(init=False)
    cases: list[Case] = field(init=False)
    journal: Journal = field(init=False)
    now_s: float = 0.0
    unmarked: Counter[str] = field(default_factory=Counter)
    bugs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311
        draw = self.random.random
        self.hazards = Hazards(self.random, crashes=0.35 * draw(), outages=0.004 * draw(), interludes=0.3 * draw())
        self.hazards.interlude = self._interlude
        faults = Faults(lost=0.1 * draw(), doubled=0.2 * draw(), slow=0.5 * draw())
        keeps, silent = draw() < 0.6, 0.1 * draw()
        reliable = keeps and draw() < 0.5
        if reliable:
            faults.lost = silent = 0.0
        self.network = Network(self.random, self.after, keeps=keeps, faults=faults, on_send=self._received)
        self.connector = Connector(
            self.random,
            self.after,
            self.network.answer,
            lambda: self.now_s,
            failing=0.1 * draw(),
            silent=silent,
            doubling=0.2 * draw(),
        )
        self.cases = [
            make_case(self.random, f"seed-{self.seed}-{number}", patient=reliable)
            for number in range(self.random.randint(1, GRAPHS_MAX))
        ]
        self.journal = Journal(self.hazards, {case.id for case in self.cases})
        self._calendar: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self._bridges: list[tuple[Bridge, VirtualLink] | None] = [None] * BRIDGES
        self._looking: set[int] = set()
        self._inboxes: list[list[Message]] = [[] for _ in range(BRIDGES)]

    def now(self) -> datetime:
        """The time in this world."""
        return EPOCH + timedelta(seconds=self.now_s)

    def after(self, delay_s: float, happens: Callable[[], None]) -> None:
        """Enters into the calendar what happens later."""
        heapq.heappush(self._calendar, (self.now_s + delay_s, next(self._serial), happens))

    def run(self) -> None:
        """Lets the history happen, to the end of all its graphs or of the simulation's patience."""
        self._set_out()
        while self._calendar and self.now_s < PATIENCE_S and not self._over():
            self._next()
        until_s = self.now_s + QUIET_AFTER_S
        while self._calendar and self.now_s < until_s:
            self._next()

    def _next(self) -> None:
        self.now_s, _, happens = heapq.heappop(self._calendar)
        happens()

    def _over(self) -> bool:
        """Whether the storm has passed and every graph has ended and was announced."""
        if self.now_s < STORMY_S:
            return False
        with self.hazards.calm():
            graphs = Graph.objects.filter(pk__in=self.journal.graph_ids, announced_at__isnull=False)
            return graphs.count() == len(self.cases)

    def _set_out(self) -> None:
        for number in range(BRIDGES):
            self._start_bridge(number)
            self._bridge_turns(number)
        self._sweeps()
        for case in self.cases:
            self.after(self.random.uniform(0.0, 5.0), partial(self._submit, case))
            if self.random.random() < WISHFUL_SHARE:
                self.after(self.random.uniform(1.0, STORMY_S), partial(self._wish, case))
        for at_s in sorted(self.random.uniform(0.0, STORMY_S) for _ in range(self.random.randint(0, 2))):
            self.after(at_s, self._lose_nats)
            self.after(min(at_s + self.random.uniform(1.0, 10.0), STORMY_S), self._find_nats)
        self.after(STORMY_S, self._calm_down)

    def _calm_down(self) -> None:
        self.hazards.end_all()
        self.network.faults = Faults()
        self.connector.silent = 0.0
        self.journal.note(self.now_s, "the storm is over")
        self._attend()

    def _attend(self) -> None:
        """Somebody decides about what nobody else can decide about."""
        for case in self.cases:
            with self.hazards.calm():
                needs_somebody = Q(needs_attention__gt=0) | Q(paused_at__isnull=False)
                needed = Graph.objects.unfinished().filter(needs_somebody, pk=case.id).exists()
            if needed:
                self._act("operator, who is needed", partial(attend, case.id, self.now(), self.random))
        self.after(ATTENTION_S, self._attend)

    def _lose_nats(self) -> None:
        self.network.reachable = False
        self.network.outages += 1
        self.journal.note(self.now_s, "NATS is away")

    def _find_nats(self) -> None:
        self.network.reachable = True
        self.journal.note(self.now_s, "NATS is back")

    def _act(self, who: str, turn: Callable[[], object]) -> bool:
        """Lets a process do something. Returns whether it lives on; what it wrote is in the journal."""
        lives = True
        try:
            with self.hazards.around():
                turn()
        except Crash:
            self.journal.note(self.now_s, f"{who} dies")
            lives = False
        except (OperationalError, InterfaceError, store.LostRace, SchedulerError) as error:
            self.journal.note(self.now_s, f"{who}: {error or type(error).__name__}")
        except Exception as error:  # noqa: BLE001  whatever it is, it is what the simulation looks for
            self.bugs.append(f"{who} failed: {type(error).__name__}: {error}")
            self.journal.note(self.now_s, traceback.format_exc())
            lives = False
        self.journal.follow(self.now_s)
        return lives

    def _submit(self, case: Case) -> None:
        """Submits until it is known to be accepted, as a careful client does."""

        def turn() -> None:
            store.submit(case.mapping, self.now(), source="http")

        self._act("client", turn)
        with self.hazards.calm():
            known = Graph.objects.filter(pk=case.id).exists()
        if not known:
            self.after(1.0, lambda: self._submit(case))

    def _wish(self, case: Case) -> None:
        wish = self.random.choice(WISHES)
        self._act(f"operator, who wants to {wish.__name__}", lambda: wish(case.id, self.now(), self.random))
        again_s = self.random.uniform(1.0, STORMY_S)
        if self.now_s + again_s < STORMY_S:
            self.after(again_s, lambda: self._wish(case))

    def _sweeps(self) -> None:
        self._sweep()
        self.after(SWEEP_S, self._sweeps)

    def _sweep(self) -> None:
        self._act("control", lambda: store.sweep(self.now()))

    def _start_bridge(self, number: int) -> None:
        link = VirtualLink(self.network, self.hazards.step, lambda: self._look_soon(number))
        self._bridges[number] = (Bridge(link, self.now), link)

    def _look_soon(self, number: int) -> None:
        """A message has come. The bridge looks in a moment, when there may be more."""
        if number not in self._looking:
            self._looking.add(number)
            self.after(self.random.uniform(0.0, LOOK_WITHIN_S), lambda: self._bridge_turn(number))

    def _bridge_turns(self, number: int) -> None:
        self._bridge_turn(number)
        self.after(self.random.uniform(0.0, IDLE_S), lambda: self._bridge_turns(number))

    def _bridge_turn(self, number: int) -> None:
        """As the bridge's own loop: what it could not store it tries again, unless it dies."""
        self._looking.discard(number)
        running = self._bridges[number]
        if running is None:
            return
        bridge, link = running
        inbox = self._inboxes[number]
        inbox += link.take(BATCH, 0.0)
        self._bridges[number] = None
        done = False

        def turn() -> None:
            nonlocal done
            bridge.handle(list(inbox))
            done = True

        told = len(self.network.published)
        lives = self._act(f"bridge-{number}", turn)
        if not done:
            self.unmarked.update(ends_in(self.network.published[told:]))
        if lives:
            self._bridges[number] = running
            if done:
                inbox.clear()
            return
        inbox.clear()
        link.stop_receiving()
        self.after(self.random.uniform(0.5, RESTART_MAX_S), lambda: self._start_bridge(number))

    def _interlude(self) -> None:
        """Another process has a turn while one is about to begin a transaction."""
        number = self.random.randrange(BRIDGES + 1)
        if number < BRIDGES:
            self._bridge_turn(number)
        else:
            self._sweep()

    def _received(self, message: Message) -> None:
        if message.subject.startswith("thing."):
            self.connector.receive(message)


def ends_in(messages: Sequence[Message]) -> Iterator[str]:
    """The ids of the graphs whose ends are among these messages."""
    return (str(json.loads(message.data)["id"]) for message in messages if message.subject.startswith("build."))
