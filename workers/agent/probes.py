"""Asks a service whether it is well: an HTTP answer of 2xx, or a TCP connection. Neither needs a thread."""

import asyncio
from collections.abc import Awaitable
from urllib.parse import SplitResult, urlsplit

STATUS_LINE_MAX_BYTES = 4096
NO_ANSWER = "the answer is not HTTP"


async def within(timeout_s: float, probe: Awaitable[str]) -> str:
    """What the probe found wrong, empty when nothing; its errors and its time limit in words."""
    try:
        async with asyncio.timeout(timeout_s):
            return await probe
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (OSError, ValueError) as error:
        return in_words(error)


def in_words(error: OSError | ValueError) -> str:
    """What an operator reads of an error."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return getattr(error, "strerror", None) or str(error)


async def http(url: str) -> str:
    """GET; only the status counts, so nothing of the body is read."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure, limit=STATUS_LINE_MAX_BYTES)
    try:
        writer.write(request(parts))
        words = (await reader.readline()).split()
    finally:
        writer.close()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return NO_ANSWER
    return "" if words[1].startswith(b"2") else f"HTTP {words[1].decode()}"


def request(parts: SplitResult) -> bytes:
    """The bytes of a GET request."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "User-Agent: scheduler-agent",
        "Accept: */*",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def tcp(address: str) -> str:
    """Connects to `host:port` and leaves."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.close()
    return ""
