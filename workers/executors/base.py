"""What an executor is: code that says which processes carry out a container on a host.

An executor only describes; the agent's supervisor starts and stops. Third parties add one by its dotted path, in
SCHEDULER_EXECUTORS (`alias=package.module.Class`, with commas between).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from scheduler_project.toolkit.errors import SchedulerError
from workers.protocol import Container


class UnusableContainer(SchedulerError):
    """The container's options do not fit its executor."""

    code = "unusable-container"


@dataclass(frozen=True)
class Recipe:
    """The argvs of one container: `main` stays in the foreground, the others run to their end, in order.

    `env` is what the executor's options add to the container's own variables.
    """

    main: list[str]
    setup: list[list[str]] = field(default_factory=list)
    stop: list[list[str]] = field(default_factory=list)
    teardown: list[list[str]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)


class Executor(ABC):
    """One way of running a container."""

    @abstractmethod
    def present(self) -> bool:
        """Whether this host has what the executor needs."""

    @abstractmethod
    def recipe(self, container: Container) -> Recipe:
        """Raises UnusableContainer, naming the option, for options that cannot be carried out."""
