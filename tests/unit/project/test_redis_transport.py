"""What a connection to a Redis-compatible broker does once it is closed."""

import pytest
from kombu import Connection

from scheduler_project.redis_transport import Channel, Transport

URL = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_every_connection_to_such_a_broker_is_made_by_it(scheme: str) -> None:
    assert Connection(f"{scheme}://127.0.0.1:1/0").get_transport_cls() is Transport


def test_what_is_acknowledged_after_the_connection_was_closed_fails_as_a_lost_connection() -> None:
    connection = Connection(URL)
    channel = Channel.__new__(Channel)
    channel.connection = connection.transport
    connection.transport.client = None

    with pytest.raises(connection.connection_errors, match="closed"):
        channel._connparams()
