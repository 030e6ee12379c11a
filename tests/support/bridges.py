"""Bridges of graphs on a real NATS server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from graphs.bridge.loop import Bridge, make_bridge
from tests.support.wait import wait_until

NewBridge = Callable[[], Bridge]


@contextmanager
def bridges_at_work() -> Iterator[NewBridge]:
    """Starts bridges at NATS_URI, connected, as often as it is called; stops them all."""
    bridges: list[Bridge] = []

    def make() -> Bridge:
        bridge = make_bridge()
        bridges.append(bridge)
        bridge.start()
        wait_until(lambda: bridge.connected, what="the bridge's connection")
        return bridge

    try:
        yield make
    finally:
        for bridge in bridges:
            bridge.stop()
