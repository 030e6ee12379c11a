"""A connector that does nothing: every component of provider `echo` comes back at once, as completed.

It speaks NATS' protocol on a bare socket, so that what is measured with it is the engine and not the connector: about
10 µs for a message instead of a client library's 100. Headers come back as they were.

    python -m benchmarks.echo nats://127.0.0.1:4222
"""

import asyncio
import signal
import sys
from urllib.parse import urlsplit

PROVIDER = "echo"
LISTENING = "listening"
CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"lang":"python","version":"0","protocol":1}\r\n'
NEW_LINE = b"\r\n"


class Echo(asyncio.Protocol):
    """Answers `<component>.<verb>.echo` on the same subject and `.done`."""

    def __init__(self) -> None:
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(CONNECT + f"SUB *.*.{PROVIDER} echoes 1\r\nPING\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._received += data
        answers: list[bytes] = []
        used = 0
        while (end := self._received.find(NEW_LINE, used)) >= 0:
            words = bytes(self._received[used:end]).split()
            body_at = end + len(NEW_LINE)
            if words[0] in (b"MSG", b"HMSG"):
                past = body_at + int(words[-1])
                if len(self._received) < past + len(NEW_LINE):
                    break
                answers.append(answer(words, bytes(self._received[body_at:past])))
                body_at = past + len(NEW_LINE)
            elif words[0] == b"PING":
                answers.append(b"PONG\r\n")
            elif words[0] == b"PONG":
                print(LISTENING, flush=True)
            used = body_at
        del self._received[:used]
        self._transport.write(b"".join(answers))

    def connection_lost(self, error: Exception | None) -> None:
        sys.exit(f"NATS is gone: {error}")


def answer(words: list[bytes], content: bytes) -> bytes:
    """The whole message back as a publish: its subject and `.done`, its headers and its body with the new state."""
    headers_size = int(words[-2]) if words[0] == b"HMSG" else 0
    body = content[headers_size:].replace(b'"_state":"running"', b'"_state":"completed"')
    head, sizes = (
        (b"HPUB", b"%d %d" % (headers_size, headers_size + len(body))) if headers_size else (b"PUB", b"%d" % len(body))
    )
    return b"%b %b.done %b\r\n%b%b\r\n" % (head, words[1], sizes, content[:headers_size], body)


async def main(uri: str) -> None:
    address = urlsplit(uri)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    transport, _ = await loop.create_connection(Echo, str(address.hostname), address.port or 4222)
    await stopped.wait()
    transport.abort()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
