"""Kombu's Redis transport, of which a closed connection is a lost connection.

Kombu closes a broken connection piece by piece. An acknowledgement that was still to be sent, or a message still to be
given back, then finds a channel without connection and raises AttributeError. That ends a worker, which would get over
a ConnectionError by connecting anew. Invariant: what cannot be sent for want of a connection raises ConnectionError.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError

ALIASES = ("redis", "rediss")


class Channel(redis.Channel):
    """A channel that knows when it is closed."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection to the broker is closed")
        return super()._connparams(asynchronous)


class Transport(redis.Transport):
    Channel = Channel


def install() -> None:
    """Has every connection of this process made by this transport."""
    TRANSPORT_ALIASES.update(dict.fromkeys(ALIASES, f"{__name__}:Transport"))
