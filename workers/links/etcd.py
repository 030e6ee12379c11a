"""The link to etcd: its version 3 API over the JSON gateway that every etcd serves, without any library.

Requests go to one endpoint until it fails, then to the next. Invariant: a call either has etcd's answer or raises
Unavailable, which after a write means that nobody knows whether it happened; so write only what may be written twice.
"""

import base64
import http.client
import json
import logging
import queue
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from scheduler_project.toolkit.errors import ConfigurationError, SchedulerError, Unavailable

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 5.0
OPERATIONS_MAX = 100
WATCH_BACKLOG = 10_000
TCP_SILENCE_S = 5
INVALID_ARGUMENT, UNAUTHENTICATED = 3, 16


class Refused(SchedulerError):
    """etcd does not take this request, whoever asks and however often."""


@dataclass(frozen=True)
class Record:
    """A key as etcd has it. `revision` is that of its last change, `lease` 0 where it is bound to none."""

    key: str
    value: bytes
    revision: int
    lease: int = 0


@dataclass(frozen=True)
class Put:
    """A key to be written; with `lease` it goes when the lease ends."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True)
class Guard:
    """A condition of a write: the key's last change was at `revision`, 0 for a key that is not there."""

    key: str
    revision: int


@dataclass(frozen=True)
class Change:
    """Something that happened to a key; `value` is None where it was deleted or its lease ended."""

    key: str
    value: bytes | None
    revision: int


class Watch(Protocol):
    """What happens to some keys, from the moment that the watch was opened."""

    def take(self, timeout_s: float) -> list[Change]:
        """The changes in their order, waiting for the first. Raises Unavailable when the watch is broken."""

    def close(self) -> None: ...


class Etcd(Protocol):
    """What the callers of this module use; `workers.links.testing` has a twin in memory under the same tests."""

    def read(self, prefix: str, after: str = "", limit: int = OPERATIONS_MAX) -> list[Record]:
        """The records whose keys begin with `prefix` and come after the key `after`, in the order of their keys."""

    def present(self, keys: Sequence[str]) -> set[str]:
        """Which of the keys are there; up to OPERATIONS_MAX in a call."""

    def write(self, puts: Sequence[Put], deletes: Sequence[str], guards: Sequence[Guard]) -> int | None:
        """All in one transaction. Returns its revision, or None where a guard did not hold and nothing was written."""

    def grant(self, ttl_s: int) -> int:
        """A new lease's id."""

    def keep_alive(self, lease: int) -> bool:
        """Starts the lease's time anew; False where it has ended."""

    def watch(self, prefixes: Sequence[str]) -> Watch:
        """Watches all keys that begin with one of the prefixes."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class EtcdAddress:
    """Where etcd is and how it is entered. Certificates are paths of PEM files; empty for none."""

    endpoints: tuple[str, ...]
    ca_cert: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password: str = ""


class EtcdLink:
    """One caller's connection to etcd. Not to be shared by threads; each watch has a connection and thread of its own.

    Raises ConfigurationError where the address cannot be used.
    """

    def __init__(self, address: EtcdAddress) -> None:
        self._address = address
        self._tls = _tls(address)
        self._endpoints = [_endpoint(text, bool(address.ca_cert)) for text in address.endpoints]
        self._current = 0
        self._connection: http.client.HTTPConnection | None = None
        self._token = ""
        self._watches: list[HttpWatch] = []

    def read(self, prefix: str, after: str = "", limit: int = OPERATIONS_MAX) -> list[Record]:
        start = _bytes(after) + b"\0" if after else _bytes(prefix)
        asked = {"key": _b64(start), "range_end": _b64(_range_end(prefix)), "limit": limit}
        return [_record(one) for one in self._call("kv/range", asked).get("kvs", [])]

    def present(self, keys: Sequence[str]) -> set[str]:
        asked = [{"request_range": {"key": _b64(_bytes(key)), "keys_only": True}} for key in keys]
        answers = self._call("kv/txn", {"success": asked}).get("responses", [])
        found = [one for answer in answers for one in answer.get("response_range", {}).get("kvs", [])]
        return {_record(one).key for one in found}

    def write(self, puts: Sequence[Put], deletes: Sequence[str], guards: Sequence[Guard]) -> int | None:
        compares = [
            {"key": _b64(_bytes(one.key)), "target": "MOD", "result": "EQUAL", "mod_revision": str(one.revision)}
            for one in guards
        ]
        operations = [
            {"request_put": {"key": _b64(_bytes(put.key)), "value": _b64(put.value), "lease": str(put.lease)}}
            for put in puts
        ] + [{"request_delete_range": {"key": _b64(_bytes(key))}} for key in deletes]
        answer = self._call("kv/txn", {"compare": compares, "success": operations})
        return int(answer["header"]["revision"]) if answer.get("succeeded") else None

    def grant(self, ttl_s: int) -> int:
        return int(self._call("lease/grant", {"TTL": ttl_s})["ID"])

    def keep_alive(self, lease: int) -> bool:
        answer = self._call("lease/keepalive", {"ID": str(lease)})
        return int(answer.get("result", {}).get("TTL", 0)) > 0

    def watch(self, prefixes: Sequence[str]) -> Watch:
        created = [
            {"create_request": {"key": _b64(_bytes(prefix)), "range_end": _b64(_range_end(prefix))}}
            for prefix in prefixes
        ]
        body = "\n".join(json.dumps(one) for one in created).encode()
        self.present(prefixes[:1])  # finds an endpoint that answers, and has a token that is valid
        endpoint = self._endpoints[self._current]
        connection = _connect(endpoint, self._tls)
        try:
            connection.request("POST", "/v3/watch", body, self._headers())
            _keep_tcp_alive(connection.sock)
            opened = HttpWatch(connection, connection.getresponse(), len(created))
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise Unavailable(f"etcd at {endpoint.netloc} gives no watch: {error!r}") from error
        self._watches.append(opened)
        return opened

    def close(self) -> None:
        self._drop()

    def _call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        faults = []
        for _ in self._endpoints:
            try:
                return self._ask(path, body)
            except (OSError, http.client.HTTPException, ValueError, Unavailable) as error:
                faults.append(f"{self._endpoints[self._current].netloc}: {error or repr(error)}")
                self._move_on()
        raise Unavailable(f"etcd does not answer ({'; '.join(faults)})")

    def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._address.user and not self._token:
            self._token = self._log_in()
        try:
            return self._send(path, body)
        except _Unauthenticated:
            self._token = self._log_in()
            return self._send(path, body)

    def _log_in(self) -> str:
        self._token = ""
        given = {"name": self._address.user, "password": self._address.password}
        try:
            return str(self._send("auth/authenticate", given)["token"])
        except Refused as error:
            raise Unavailable(f"ETCD_USER and ETCD_PASSWORD are refused: {error}") from error

    def _send(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A kept connection that the server has closed meanwhile says so only when it is used: then a new one is."""
        kept = self._connection is not None
        try:
            return self._exchange(path, body)
        except (ConnectionError, http.client.HTTPException):
            self._drop()
            if not kept:
                raise
            return self._exchange(path, body)

    def _exchange(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._connection is None:
            self._connection = _connect(self._endpoints[self._current], self._tls)
        self._connection.request("POST", f"/v3/{path}", json.dumps(body).encode(), self._headers())
        response = self._connection.getresponse()
        return _answer(response.status, response.read())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": self._token} if self._token else {}

    def _move_on(self) -> None:
        """The watches go too: they hang on the endpoint that failed."""
        self._drop()
        self._current = (self._current + 1) % len(self._endpoints)
        self._token = ""

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        while self._watches:
            self._watches.pop().close()


class HttpWatch:
    """A watch as a response that never ends, read by a thread. While its backlog is full the thread stops reading."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, prefixes: int
    ) -> None:
        """Returns when etcd has confirmed the watch of every prefix. Raises OSError or ValueError where it does not."""
        if response.status != http.client.OK:
            raise ValueError(response.read().decode(errors="replace"))
        self._connection = connection
        self._response = response
        self._socket = connection.sock or _socket_of(response)
        self._backlog: queue.Queue[list[Change] | None] = queue.Queue(WATCH_BACKLOG)
        self._closed = threading.Event()
        for _ in range(prefixes):
            if not _told(response.readline()).get("created"):
                raise ValueError("the watch was not confirmed")
        if self._socket is not None:
            self._socket.settimeout(None)
        threading.Thread(target=self._read, name="etcd-watch", daemon=True).start()

    def take(self, timeout_s: float) -> list[Change]:
        found: list[Change] = []
        try:
            batch = self._backlog.get(timeout=timeout_s)
            while batch is not None:
                found += batch
                batch = self._backlog.get_nowait()
        except queue.Empty:
            if found or not self._closed.is_set():
                return found
        self._closed.set()
        raise Unavailable("the watch on etcd has ended")

    def close(self) -> None:
        """Ends the thread by closing its connection under it."""
        self._closed.set()
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                log.debug("etcd.watch_was_closed reason=%r", error)

    def _read(self) -> None:
        try:
            while not self._closed.is_set() and (line := self._response.readline()):
                told = _told(line)
                if told.get("canceled"):
                    break
                self._offer(list(_changes(told)))
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            log.debug("etcd.watch_broken reason=%r", error)
        finally:
            self._offer(None)
            self._response.close()
            self._connection.close()

    def _offer(self, batch: list[Change] | None) -> None:
        while not self._closed.is_set():
            try:
                self._backlog.put(batch, timeout=1)
            except queue.Full:
                continue
            return


class _Unauthenticated(Exception):
    """The token is missing or too old."""


def _tls(address: EtcdAddress) -> ssl.SSLContext:
    if bool(address.cert) != bool(address.key):
        raise ConfigurationError("ETCD_CERT and ETCD_KEY belong together; set both or none")
    try:
        context = ssl.create_default_context(cafile=address.ca_cert or None)
        if address.cert:
            context.load_cert_chain(address.cert, address.key)
    except OSError as error:
        raise ConfigurationError(f"ETCD_CACERT, ETCD_CERT or ETCD_KEY cannot be read: {error}") from error
    return context


def _endpoint(text: str, secure: bool) -> SplitResult:
    scheme = "https" if secure else "http"
    parts = urlsplit(text if "://" in text else f"{scheme}://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"ETCD_ENDPOINTS: {text!r} is not an address such as https://etcd-1:2379")
    return parts


def _connect(endpoint: SplitResult, tls: ssl.SSLContext) -> http.client.HTTPConnection:
    port = endpoint.port or 2379
    if endpoint.scheme == "https":
        return http.client.HTTPSConnection(endpoint.hostname or "", port, timeout=REQUEST_TIMEOUT_S, context=tls)
    return http.client.HTTPConnection(endpoint.hostname or "", port, timeout=REQUEST_TIMEOUT_S)


def _keep_tcp_alive(connected: socket.socket) -> None:
    """So that an endpoint which vanished without a word ends a watch that waits for it."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), TCP_SILENCE_S)


def _socket_of(response: http.client.HTTPResponse) -> socket.socket | None:
    """http.client hands the socket to the response where the server announces the connection's end."""
    return getattr(getattr(response.fp, "raw", None), "_sock", None)


def _answer(status: int, data: bytes) -> dict[str, Any]:
    """Raises what an answer that is no success means."""
    try:
        document = json.loads(data or b"{}")
    except ValueError as error:
        raise Unavailable(f"status {status}, and what it says is not JSON") from error
    if status == http.client.OK:
        return dict(document)
    message = document.get("message") or document.get("error") or f"status {status}"
    if document.get("code") == UNAUTHENTICATED:
        raise _Unauthenticated(message)
    if document.get("code") == INVALID_ARGUMENT:
        raise Refused(message)
    raise Unavailable(message)


def _told(line: bytes) -> dict[str, Any]:
    return dict(json.loads(line).get("result", {"canceled": True}))


def _changes(told: Mapping[str, Any]) -> Iterator[Change]:
    for event in told.get("events", []):
        record = _record(event["kv"])
        yield Change(record.key, None if event.get("type") == "DELETE" else record.value, record.revision)


def _record(found: Mapping[str, Any]) -> Record:
    key = base64.b64decode(found["key"]).decode(errors="surrogateescape")
    value = base64.b64decode(found.get("value", ""))
    return Record(key, value, int(found.get("mod_revision", 0)), int(found.get("lease", 0)))


def _bytes(key: str) -> bytes:
    return key.encode(errors="surrogateescape")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _range_end(prefix: str) -> bytes:
    """The first key that does not begin with the prefix any more."""
    data = _bytes(prefix)
    return data[:-1] + bytes([data[-1] + 1])
