"""A world of ernest for each test, and a real NATS server with bridges where the wire matters."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from graphs.bridge.loop import Bridge, make_bridge
from tests.support.ernest import Ernest
from tests.support.wait import wait_until
from workers.links.nats import NatsLink

NewBridge = Callable[[], Bridge]
NewListener = Callable[..., NatsLink]


@pytest.fixture
def ernest() -> Ernest:
    return Ernest()


@pytest.fixture
def new_bridge(nats_server: Any, settings: Any) -> Iterator[NewBridge]:
    """Starts bridges on the real server, connected."""
    settings.NATS_URI = nats_server.url
    bridges: list[Bridge] = []

    def make() -> Bridge:
        bridge = make_bridge()
        bridges.append(bridge)
        bridge.start()
        wait_until(lambda: bridge.connected, what="the bridge's connection")
        return bridge

    yield make
    for bridge in bridges:
        bridge.stop()


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
