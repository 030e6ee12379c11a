"""A small client of the Docker Engine's API on its socket.

Not the `docker` package, since each container has a process of its own that holds this: it would be 30 MB and 150 ms
instead of 17 MB and 35 ms. Invariant: what goes wrong is an EngineError with the engine's own words, or EngineAway.
"""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

ADDRESS_VARIABLE = "DOCKER_HOST"
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
UNIX = "unix://"
CALL_TIMEOUT_S = 60.0
PING_TIMEOUT_S = 1.0
LOGIN_HEADER = "X-Registry-Auth"
NO_HEADERS: Mapping[str, str] = {}
NOT_FOUND = 404
CONFLICT = 409
UNCHANGED = 304
ERRORS_FROM = 400
FRAME_HEADER_BYTES = 8
PIECE_BYTES = 65_536
STDOUT, STDERR = 1, 2


class EngineError(Exception):
    """The engine refused, in its own words. `status` is that of HTTP."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class EngineAway(Exception):
    """The engine cannot be reached, or the connection to it broke."""


def address_of(environ: Mapping[str, str] = os.environ) -> str:
    """Where the engine listens."""
    return environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS


def split_image(image: str) -> tuple[str, str]:
    """An image's name and its tag or digest; `latest` where it names neither."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    folder, slash, last = image.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{folder}{slash}{last}", tag or "latest"


class Engine:
    """The engine at an address such as `unix:///var/run/docker.sock`; other kinds of address are not reached."""

    def __init__(self, address: str) -> None:
        self._path = address.removeprefix(UNIX) if address.startswith(UNIX) else ""

    def answers(self) -> bool:
        """Whether an engine is there."""
        try:
            self._call("GET", "/_ping", timeout_s=PING_TIMEOUT_S)
        except (EngineError, EngineAway):
            return False
        return True

    def has_image(self, image: str) -> bool:
        try:
            self._call("GET", f"/images/{quote(image)}/json")
        except EngineError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    def pull(self, image: str, login: str = "") -> None:
        """Returns when the image is there; `login` is that of `logins.login_for`.

        Raises EngineError, also for what goes wrong on the way.
        """
        name, tag = split_image(image)
        path = f"/images/create?{urlencode({'fromImage': name, 'tag': tag})}"
        with self._response("POST", path, None, None, {LOGIN_HEADER: login} if login else {}) as response:
            for line in response:
                told = json.loads(line) if line.strip() else {}
                if "error" in told:
                    raise EngineError(told["error"])

    def create(self, name: str, document: Mapping[str, Any]) -> None:
        """Raises EngineError for a name that is in use: a container is created once."""
        self._call("POST", f"/containers/create?{urlencode({'name': name})}", document)

    def start(self, name: str) -> None:
        self._call("POST", f"/containers/{name}/start")

    def stop(self, name: str, grace_s: int) -> None:
        """TERM now, KILL after the grace; returns when it has ended."""
        self._call("POST", f"/containers/{name}/stop?t={grace_s}", timeout_s=grace_s + CALL_TIMEOUT_S)

    def wait(self, name: str) -> None:
        """Returns when it does not run any more."""
        self._call("POST", f"/containers/{name}/wait", timeout_s=None)

    def state(self, name: str) -> dict[str, Any]:
        """`Running`, `ExitCode`, `OOMKilled`, `Error` and more, as the engine tells it."""
        state: dict[str, Any] = json.loads(self._call("GET", f"/containers/{name}/json"))["State"]
        return state

    def labelled(self, label: str, value: str) -> dict[str, dict[str, str]]:
        """The labels of all containers that have this one, by name, also of those that have ended."""
        query = urlencode({"all": 1, "filters": json.dumps({"label": [f"{label}={value}"]})})
        found = json.loads(self._call("GET", f"/containers/json?{query}"))
        return {each["Names"][0].removeprefix("/"): each["Labels"] for each in found}

    def remove(self, name: str) -> None:
        """Kills it where it runs; what is not there is removed already."""
        try:
            self._call("DELETE", f"/containers/{name}?force=1&v=1")
        except EngineError as error:
            if error.status != NOT_FOUND:
                raise

    def follow(self, name: str) -> Iterator[tuple[int, bytes]]:
        """What it writes, from its start until it ends: pieces of STDOUT and STDERR in order.

        Engines are known to leave out the very last of it; `logs` has it.
        """
        return self._pieces(f"/containers/{name}/logs?follow=1&stdout=1&stderr=1")

    def logs(self, name: str) -> Iterator[tuple[int, bytes]]:
        """All that it has written so far, as `follow` tells it."""
        return self._pieces(f"/containers/{name}/logs?stdout=1&stderr=1")

    def _pieces(self, path: str) -> Iterator[tuple[int, bytes]]:
        with self._response("GET", path, None, None) as response:
            while header := response.read(FRAME_HEADER_BYTES):
                left = int.from_bytes(header[4:], "big")
                while left:
                    piece = response.read(min(left, PIECE_BYTES))
                    if not piece:
                        raise EngineAway("the engine cut its answer short")
                    left -= len(piece)
                    yield header[0], piece

    def _call(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> bytes:
        with self._response(method, path, document, timeout_s) as response:
            return response.read()

    @contextmanager
    def _response(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None,
        timeout_s: float | None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self._path, timeout_s)
        body = None if document is None else json.dumps(document).encode()
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            if response.status >= ERRORS_FROM:
                raise EngineError(_message(response.read()), response.status)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise EngineAway(
                f"the Docker Engine at {self._path or 'no unix:// address'} does not answer: {error}"
            ) from error
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("localhost")
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(self._path)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip() or "the engine gave no reason"
