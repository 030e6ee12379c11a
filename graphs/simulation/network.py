"""NATS, virtual: messages take their time, overtake each other, are lost and come twice.

A message goes to the far end or to one of the bridges. With `keeps` the server is one with JetStream: what is captured
stays until a bridge has settled it, and is delivered again when the bridge that had it died.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from scheduler_project.toolkit.errors import Unavailable
from workers.links.backlog import Message
from workers.links.nats import CORE, DEFAULT_MAX_PAYLOAD, JETSTREAM

DELAY_MAX_S = 3.0
SENDING_WEIGHT = 6
DELIVERED_AGAIN_AFTER_S = 8.0
After = Callable[[float, Callable[[], None]], None]


@dataclass
class Faults:
    """How often each thing happens to a message, from 0 to 1."""

    lost: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0


@dataclass
class Network:
    """All messages under way. `after(seconds, what)` is the world's calendar; `on_send` hears what bridges send."""

    random: Random
    after: After
    keeps: bool
    faults: Faults
    reachable: bool = True
    outages: int = 0
    published: list[Message] = field(default_factory=list)
    links: list["VirtualLink"] = field(default_factory=list)
    kept: dict[str, Message] = field(default_factory=dict)
    on_send: Callable[[Message], None] = lambda message: None

    def send(self, message: Message) -> None:
        """A bridge's message, on its way to the far end."""
        self.published.append(message)
        for delay_s in self._deliveries():
            self.after(delay_s, lambda: self.on_send(message))

    def answer(self, message: Message) -> None:
        """The far end's message, on its way to a bridge."""
        if self.keeps:
            kept = replace(message, token=str(len(self.kept) + self.random.getrandbits(40)))
            self.kept[kept.token] = kept
            self.after(self._delay_s(), lambda: self._offer(kept))
            return
        for delay_s in self._deliveries():
            self.after(delay_s, lambda: self._deliver(message))

    def _offer(self, kept: Message) -> None:
        """Delivers what is kept, again and again until it is settled."""
        if kept.token in self.kept:
            self._deliver(kept)
            self.after(DELIVERED_AGAIN_AFTER_S, lambda: self._offer(kept))

    def _deliver(self, message: Message) -> None:
        listening = [link for link in self.links if link.connected]
        if listening:
            self.random.choice(listening).receive(message)

    def _deliveries(self) -> Sequence[float]:
        """When a message that nobody keeps arrives: not at all, once or twice."""
        if not self.reachable or self.random.random() < self.faults.lost:
            return ()
        times = 2 if self.random.random() < self.faults.doubled else 1
        return [self._delay_s() for _ in range(times)]

    def _delay_s(self) -> float:
        slow = self.random.random() < self.faults.slow
        return self.random.uniform(0.0, DELAY_MAX_S if slow else 0.05)


class VirtualLink:
    """A bridge's end of the network: a `workers.links.nats.Link` whose messages wait in `inbox`."""

    def __init__(self, network: Network, step: Callable[[int], None], on_message: Callable[[], None]) -> None:
        self.inbox: list[Message] = []
        self.alive = True
        self._network = network
        self._step = step
        self._on_message = on_message
        network.links.append(self)

    @property
    def connected(self) -> bool:
        """Whether NATS is reached now."""
        return self.alive and self._network.reachable

    @property
    def max_payload(self) -> int:
        """As a server has it that was not told otherwise."""
        return DEFAULT_MAX_PAYLOAD

    @property
    def mode(self) -> str:
        """Whether the server keeps messages."""
        return JETSTREAM if self._network.keeps else CORE

    def receive(self, message: Message) -> None:
        """A message has arrived."""
        self.inbox.append(message)
        self._on_message()

    def start(self) -> None:
        """It is connected from the beginning."""

    def take(self, limit: int, timeout_s: float) -> list[Message]:
        """What has come, at once."""
        taken, self.inbox[:] = self.inbox[:limit], self.inbox[limit:]
        return taken

    def wake(self) -> None:
        """Nobody sleeps here."""

    def settled(self, messages: Sequence[Message]) -> None:
        """The server need not keep these any more."""
        self._step(1)
        for message in messages:
            self._network.kept.pop(message.token, None)

    def post(self, messages: Sequence[Message]) -> int:
        """Raises Unavailable in an outage. The process may die after any of the messages."""
        self.publish(messages)
        return self._network.outages

    def confirm(self, connection: int) -> bool:
        """Whether there was no outage since."""
        self._step(1)
        return self.connected and connection == self._network.outages

    def publish(self, messages: Sequence[Message]) -> None:
        """The same, confirmed."""
        for message in messages:
            self._step(SENDING_WEIGHT)
            if not self.connected:
                raise Unavailable("NATS is away (simulated)")
            self._network.send(message)

    def stop_receiving(self) -> None:
        """Takes nothing any more; what waits in the inbox is lost with the process."""
        self.alive = False
        self._network.links.remove(self)

    def stop(self) -> None:
        """Nothing is left to do."""
