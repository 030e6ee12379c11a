"""A NATS connection with nothing around it, for the floor: messages to itself and back, on a blocking socket."""

import socket

SUBJECT = b"benchmark.floor"
BODY = b'{"_state":"running"}'
PUBLISH = b"PUB %b %d\r\n%b\r\n" % (SUBJECT, len(BODY), BODY)
CONNECT = (
    b'CONNECT {"verbose":false,"pedantic":false,"lang":"python","version":"0","protocol":1}\r\nSUB %b 1\r\nPING\r\n'
)


class BareNats:
    """A connection to the server on a port of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(CONNECT % SUBJECT)
        self._read_until(b"PONG\r\n", 1)

    def exchange(self, count: int) -> None:
        """Publishes so many messages at once, and returns when all have come back."""
        self._socket.sendall(PUBLISH * count)
        self._read_until(BODY, count)

    def _read_until(self, mark: bytes, count: int) -> None:
        received = bytearray()
        while received.count(mark) < count:
            if received.endswith(b"PING\r\n"):
                self._socket.sendall(b"PONG\r\n")
            received += self._socket.recv(1 << 20)
