"""The same face for the twin of the Docker Engine and for a real one, so that the same tests are held against both."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from tests.support.servers import DockerEngine
from tests.support.servers.docker import IMAGE, OPEN_REGISTRY
from tests.support.wait import wait_until
from workers.engine.testing import UNKNOWN_IMAGE, EngineTwin


class AnyEngine(Protocol):
    """`image` is one that it has, with a shell; `unknown` one that it can pull from nowhere."""

    image: str
    unknown: str

    @property
    def address(self) -> str:
        """What DOCKER_HOST is to say."""

    def containers(self) -> list[str]:
        """The names of all containers, also of those that have ended."""

    def labels(self, container: str) -> Mapping[str, str]:
        """The labels of one."""

    def publish(self, name: str) -> str:
        """The whole name of a new image that it can pull and has not."""


@dataclass
class Twin:
    twin: EngineTwin
    image: str = IMAGE
    unknown: str = UNKNOWN_IMAGE

    def __post_init__(self) -> None:
        self.twin.images.add(self.image)

    @property
    def address(self) -> str:
        return self.twin.address

    def containers(self) -> list[str]:
        return list(self.twin.containers)

    def labels(self, container: str) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.twin.containers[container].document["Labels"]
        return labels

    def publish(self, name: str) -> str:
        return name


@dataclass
class Real:
    engine: DockerEngine
    image: str = IMAGE
    unknown: str = f"{OPEN_REGISTRY}/nothing:1"

    @property
    def address(self) -> str:
        return self.engine.url

    def containers(self) -> list[str]:
        found = json.loads(self.engine.ask("GET", "/containers/json?all=1"))
        return [one["Names"][0].removeprefix("/") for one in found]

    def labels(self, container: str) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.inspect(container)["Config"]["Labels"]
        return labels

    def publish(self, name: str) -> str:
        return self.engine.publish(name, OPEN_REGISTRY)

    def inspect(self, container: str) -> dict[str, Any]:
        """All that the engine knows of one."""
        told: dict[str, Any] = json.loads(self.engine.ask("GET", f"/containers/{quote(container)}/json"))
        return told

    def clear(self) -> None:
        """Removes all containers; somebody else may do so at the same time."""
        for container in self.containers():
            with suppress(AssertionError):
                self.engine.ask("DELETE", f"/containers/{container}?force=1&v=1")
        wait_until(lambda: not self.containers(), what="the containers to be removed")
