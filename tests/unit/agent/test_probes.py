"""What a service is asked, and how its silence reads."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.support.servers import free_port
from workers.agent import probes


def serve(listener: socket.socket, answer: bytes | None) -> None:
    """Answers one connection, and stays until the other side has gone."""
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        if answer is not None:
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            continue


def ask(answer: bytes | None, pattern: str = "http://127.0.0.1:{port}/health?deep=1") -> str:
    """Probes a server that answers so; None for one that never does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener, answer))
        server.start()
        url = pattern.format(port=listener.getsockname()[1])
        found = asyncio.run(probes.within(0.3, probes.http(url) if url.startswith("http") else probes.tcp(url)))
        server.join()
    return found


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
def test_any_2xx_is_well(status: str) -> None:
    assert ask(f"HTTP/1.1 {status}\r\n\r\n".encode()) == ""


def test_another_status_is_named() -> None:
    assert ask(b"HTTP/1.0 503 Service Unavailable\r\n\r\n") == "HTTP 503"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n", b"\xff" * 10_000, b"HTTP/1.1 fine\r\n"])
def test_what_is_not_http_is_not_well(answer: bytes) -> None:
    assert ask(answer) != ""


def test_silence_ends_at_the_time_limit() -> None:
    assert ask(None) == "no answer within 0.3 s"


def test_a_connection_is_enough_for_tcp() -> None:
    assert ask(b"", "127.0.0.1:{port}") == ""


@pytest.mark.parametrize("probe", [probes.http, probes.tcp])
def test_a_closed_port_is_refused(probe: Callable[[str], Awaitable[str]]) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    assert asyncio.run(probes.within(1, probe(url))) == "connection refused"


def test_a_port_that_is_none_is_told() -> None:
    assert "ort" in asyncio.run(probes.within(1, probes.http("http://127.0.0.1:99999/")))


def test_a_request_names_its_host_but_no_password() -> None:
    text = probes.request(urlsplit("http://me:secret@web:80/a?b=c")).decode()
    assert text.startswith("GET /a?b=c HTTP/1.1\r\nHost: web:80\r\n")
    assert "secret" not in text
