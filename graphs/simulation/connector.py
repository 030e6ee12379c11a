"""The far end on NATS: carries components out well, badly, twice, late or not at all, and remembers what it said."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphs.bridge.messages import ATTEMPT_HEADER
from workers.links.backlog import Message

WORK_MAX_S = 5.0
SLOW_WORK_MAX_S = 40.0
SLOW_SHARE = 0.1
Key = tuple[str, str, int]


@dataclass
class Connector:
    """`failing` and `silent` are the shares of components that it fails, or never answers.

    `said_at_s` tells when it first gave each answer.
    """

    random: Random
    after: Callable[[float, Callable[[], None]], None]
    answer: Callable[[Message], None]
    now_s: Callable[[], float]
    failing: float = 0.0
    silent: float = 0.0
    doubling: float = 0.0
    received: Counter[Key] = field(default_factory=Counter)
    said_at_s: dict[tuple[Key, str], float] = field(default_factory=dict)

    def receive(self, message: Message) -> None:
        """Takes a component and, unless it is silent, answers in its own time."""
        body = json.loads(message.data)
        key = key_of(message, body)
        self.received[key] += 1
        if self.random.random() < self.silent:
            return
        longest_s = SLOW_WORK_MAX_S if self.random.random() < SLOW_SHARE else WORK_MAX_S
        self.after(self.random.uniform(0.0, longest_s), lambda: self._reply(message, body, key))

    def _reply(self, message: Message, body: dict[str, Any], key: Key) -> None:
        state = "errored" if self.random.random() < self.failing else "completed"
        self.said_at_s.setdefault((key, state), self.now_s())
        ending = "done" if state == "completed" else "error"
        data = json.dumps({**body, "_state": state}).encode()
        for _ in range(2 if self.random.random() < self.doubling else 1):
            self.answer(Message(f"{message.subject}.{ending}", data, headers=message.headers))


def key_of(message: Message, body: dict[str, Any]) -> Key:
    """The graph, component and attempt that a message is about."""
    return str(body["service"]), str(body["_component_id"]), int(message.headers[ATTEMPT_HEADER])
