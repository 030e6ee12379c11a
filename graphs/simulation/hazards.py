"""What goes wrong inside a process: it dies between any two statements, and others come between its transactions.

Every statement to the database and every message that is sent passes here. Invariant: nothing happens in here while
`calm` is in force, which is how the simulation itself looks at the database.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from django.db import OperationalError, connection

Execute = Callable[..., Any]
FIRST_STEPS = 20


class Crash(BaseException):
    """The process ends here, as by `kill -9`. No handler of errors sees it."""


class Hazards:
    """The dangers of one history. `interlude` lets another process work between two transactions."""

    def __init__(self, random: Random, crashes: float, outages: float, interludes: float) -> None:
        self.crashes, self.outages, self.interludes = crashes, outages, interludes
        self.interlude: Callable[[], None] = lambda: None
        self._random = random
        self._steps_to_crash: list[int | None] = []
        self._calm = 1

    def end_all(self) -> None:
        """From now on nothing goes wrong."""
        self.crashes = self.outages = self.interludes = 0.0

    @contextmanager
    def around(self) -> Iterator[None]:
        """One turn of a process, which may be its last."""
        dies = self._random.random() < self.crashes
        self._steps_to_crash.append(self._random.randint(1, FIRST_STEPS) if dies else None)
        calm, self._calm = self._calm, 0
        try:
            with connection.execute_wrapper(self._statement):
                yield
        finally:
            self._calm = calm
            self._steps_to_crash.pop()

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Time for the simulation's own looks at the database."""
        self._calm += 1
        try:
            yield
        finally:
            self._calm -= 1

    def step(self, weight: int = 1) -> None:
        """One more thing done by the process at work, `weight` times as dangerous. Raises Crash when its last."""
        if self._calm or not self._steps_to_crash or self._steps_to_crash[-1] is None:
            return
        self._steps_to_crash[-1] -= weight
        if self._steps_to_crash[-1] <= 0:
            self._steps_to_crash[-1] = None
            raise Crash

    @property
    def _may_be_interrupted(self) -> bool:
        """Whether another process may come in between: outside transactions, and not in its turn too."""
        return len(self._steps_to_crash) == 1 and not connection.in_atomic_block

    def _statement(self, execute: Execute, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if self._calm or sql.startswith("ROLLBACK"):
            return execute(sql, parameters, many, context)
        if self._may_be_interrupted and self._random.random() < self.interludes:
            self.interlude()
        self.step()
        if self._random.random() < self.outages:
            raise OperationalError("the database is away (simulated)")
        return execute(sql, parameters, many, context)
