"""Containers of the Docker Engine on this host.

Invariant: it runs commands alone (`workers.agent.containers`); a service's container is refused with the reason.
"""

from workers.engine.client import Engine, address_of
from workers.executors.base import Executor, Recipe, UnusableContainer
from workers.protocol import Container


class Docker(Executor):
    """Present where an engine answers on its socket (`DOCKER_HOST`, else `/var/run/docker.sock`)."""

    def present(self) -> bool:
        return Engine(address_of()).answers()

    def recipe(self, container: Container) -> Recipe:
        raise UnusableContainer(f"container {container.name}: the docker executor runs commands, and keeps no services")
