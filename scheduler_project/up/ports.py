"""Chooses and probes TCP ports on loopback."""

import socket
from urllib.parse import urlsplit

from scheduler_project.up.errors import PortBusy, ServerUnreachable

LOOPBACK = "127.0.0.1"
PROBE_TIMEOUT_S = 2.0


def is_free(port: int, address: str = LOOPBACK) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def answers(port: int, address: str = LOOPBACK) -> bool:
    """Whether something accepts connections on the port."""
    try:
        socket.create_connection((address, port), timeout=PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def require_free(port: int, address: str, option: str) -> None:
    """Raises PortBusy, naming the option that chooses another port."""
    if not is_free(port, address):
        raise PortBusy(
            f"port {port} on {address} is in use; stop the program that holds it, or choose another: {option}"
        )


def choose(preferred: int, taken: set[int]) -> int:
    """The preferred port when it is free and not in `taken`, else any free one. 0 prefers none."""
    if preferred and preferred not in taken and is_free(preferred):
        return preferred
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def require_server(name: str, url: str, default_port: int) -> None:
    """Raises ServerUnreachable, naming the variable, when nothing accepts connections at the URL's host and port."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or LOOPBACK, parts.port or default_port
    except ValueError as error:
        raise ServerUnreachable(f"{name} is not a usable address: {error}") from error
    try:
        socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServerUnreachable(
            f"{name}: no server answers at {host}:{port} ({reason}); start it, or unset {name}"
        ) from error
