"""A world of ernest for each test, and a real NATS server with bridges where the wire matters."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.bridges import NewBridge, bridges_at_work
from tests.support.ernest import Ernest
from workers.links.nats import NatsLink

NewListener = Callable[..., NatsLink]


@pytest.fixture
def ernest() -> Ernest:
    return Ernest()


@pytest.fixture
def new_bridge(nats_server: Any, settings: Any) -> Iterator[NewBridge]:
    """Starts bridges on the real server, connected."""
    settings.NATS_URI = nats_server.url
    with bridges_at_work() as start:
        yield start


@pytest.fixture
def new_listener(nats_server: Any) -> Iterator[NewListener]:
    """Somebody else on the real server who hears some subjects and may publish."""
    links: list[NatsLink] = []

    def make(*subjects: str) -> NatsLink:
        link = NatsLink(nats_server.url, list(subjects), uuid.uuid4().hex, "listener")
        links.append(link)
        link.start()
        link.wait_connected(10)
        return link

    yield make
    for link in links:
        link.stop()
