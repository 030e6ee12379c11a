"""One HTTP request: no redirects, no proxies, at most so many seconds in all and so many bytes read.

Invariant: `fetch` returns or raises within the time it was given, whatever the server does.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from scheduler_project.toolkit.errors import Unavailable

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Request:
    """What to send. `verify` False takes any certificate."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout_s: float = 30.0
    verify: bool = True


@dataclass(frozen=True)
class Response:
    """What came back; of a body that is too large its first part, `whole` False."""

    status: int
    body: bytes
    whole: bool = True


def fetch(request: Request, body_max_bytes: int) -> Response:
    """Sends one request. Raises Unavailable where there is no answer in time."""
    ends_at = time.monotonic() + request.timeout_s
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(request)
    try:
        connection.request(request.method, target, body=request.body or None, headers=dict(request.headers))
        _limit(connection, ends_at)
        answer = connection.getresponse()
        body = b""
        while len(body) <= body_max_bytes and (part := answer.read1(CHUNK_BYTES)):
            body += part
            _limit(connection, ends_at)
        return Response(answer.status, body[:body_max_bytes], len(body) <= body_max_bytes)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{parts.hostname} did not answer: {_words(error)}") from error
    finally:
        connection.close()


def _connection(request: Request) -> http.client.HTTPConnection:
    parts = urlsplit(request.url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=request.timeout_s)
    context = ssl.create_default_context()
    if not request.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, parts.port, timeout=request.timeout_s, context=context)


def _limit(connection: http.client.HTTPConnection, ends_at: float) -> None:
    """Lets no further wait last beyond the end. Raises TimeoutError when it is there."""
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the time is over")
    if connection.sock is not None:
        connection.sock.settimeout(left_s)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError | socket.timeout):
        return "not within its time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
