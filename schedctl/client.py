"""Calls the scheduler's HTTP API and turns every failure into one `CtlError`.

Invariant: the token is sent to the configured server only (redirects are not followed) and is never shown.
"""

import http.client
import json
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from schedctl import errors
from schedctl.config import Certificates, Settings

API = "/api/v1"
PAGE_SIZE = 500
UNAVAILABLE = frozenset({502, 503})
ERROR_BY_STATUS: dict[int, type[errors.CtlError]] = {
    401: errors.Denied,
    403: errors.Denied,
    404: errors.NotFound,
    409: errors.Conflict,
    408: errors.NoAnswerInTime,
    504: errors.NoAnswerInTime,
}


@dataclass(frozen=True)
class Answer:
    """A successful answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One server, one token. `trace` is told each call and its outcome, without secrets."""

    def __init__(self, settings: Settings, trace: Callable[[str], None]) -> None:
        self.server = settings.server
        self._token = settings.token
        self._timeout_s = settings.timeout_s
        self._certificates = settings.certificates
        self._trace = trace

    def get(self, *parts: str, **query: Any) -> Any:
        """The JSON at a path given by its parts."""
        return self._json(self.call("GET", address(parts, query)))

    def pages(self, *parts: str, **query: Any) -> Iterator[Any]:
        """All items of a list, fetched part by part."""
        cursor = ""
        while True:
            found = self.get(*parts, **query, limit=PAGE_SIZE, cursor=cursor)
            yield from items_of(found)
            cursor = found.get("next", "") if isinstance(found, dict) else ""
            if not cursor:
                return

    def post(self, *parts: str, body: Any = None, **query: Any) -> Any:
        """POSTs `body` as JSON."""
        return self.send("POST", *parts, body=body, **query)

    def send(self, method: str, *parts: str, body: Any = None, **query: Any) -> Any:
        """Sends `body` as JSON and returns the JSON answered, None where there is none."""
        return self._json(self.call(method, address(parts, query), to_json(body)))

    def create(self, *parts: str, body: Any) -> Any:
        """Like `post`, with an idempotency key, so that a lost answer is asked for again without doing it twice."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        try:
            answer = self.call("POST", address(parts, {}), to_json(body), headers)
        except AnswerLost as error:
            self._trace(f"{error}; sending it again")
            answer = self.call("POST", address(parts, {}), to_json(body), headers)
        return self._json(answer)

    def post_file(self, *parts: str, content: bytes, **query: Any) -> Any:
        """POSTs a YAML or JSON file as it is."""
        return self._json(self.call("POST", address(parts, query), content, {"Content-Type": "application/yaml"}))

    def call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One request. Raises the CtlError that fits the failure."""
        started = time.monotonic()
        try:
            answer = self._exchange(method, path, body, {**self._headers(body), **(headers or {})})
        except (OSError, http.client.HTTPException) as error:
            failure = connection_error(error, self.server, self._timeout_s)
            self._trace(f"{method} {path}: {type(error).__name__}")
            raise failure from error
        self._trace(f"{method} {path}: {answer.status} in {(time.monotonic() - started) * 1000:.0f} ms")
        if not 200 <= answer.status < 300:
            raise refusal(answer, self.server)
        return answer

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "schedctl", "Connection": "close"}
        if body:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        url = urlsplit(self.server)
        connection = self._connection(url)
        try:
            connection.request(method, url.path + path, body or None, dict(headers))
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())
        finally:
            connection.close()

    def _connection(self, url: SplitResult) -> http.client.HTTPConnection:
        host, port = url.hostname or "", url.port
        if url.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=tls_context(self._certificates))

    def _json(self, answer: Answer) -> Any:
        if not answer.body:
            return None
        try:
            return json.loads(answer.body)
        except ValueError as error:
            kind = answer.headers.get("content-type", "something unnamed")
            raise errors.NotOurServer(
                f"{self.server} answered with {kind} instead of JSON; is it the scheduler? Check --server"
            ) from error


class AnswerLost(errors.Unreachable):
    """The connection broke after the request was sent: it may have been carried out."""


def address(parts: tuple[str, ...], query: Mapping[str, Any]) -> str:
    """The path below the server, safely quoted; empty query values are left out."""
    path = "/".join([API, *(quote(part, safe="") for part in parts)])
    given = {key: value for key, value in query.items() if value not in ("", None)}
    return f"{path}?{urlencode(given)}" if given else path


def tls_context(certificates: Certificates) -> ssl.SSLContext:
    """How the server is verified, and what it is shown. Raises ConfigError for a file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=certificates.cacert or None)
        if certificates.cert:
            context.load_cert_chain(certificates.cert, certificates.key)
    except OSError as error:
        raise errors.ConfigError(f"cacert, cert or key: a file of these cannot be used: {error}") from error
    return context


def to_json(body: Any) -> bytes:
    if body is None:
        return b""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except ValueError as error:
        raise errors.BadFile(
            f"it holds what JSON cannot carry, such as .nan or an anchor in itself: {error}"
        ) from error


def items_of(found: Any) -> list[Any]:
    """The items of a list's page, or of a plain list."""
    return list(found["items"] if isinstance(found, dict) else found or [])


def connection_error(error: Exception, server: str, timeout_s: float) -> errors.CtlError:
    """Why there was no answer, and what to do about it."""
    if isinstance(error, TimeoutError):
        return errors.NoAnswerInTime(
            f"{server} gave no answer within {timeout_s:g} s; is it overloaded? Raise connection_timeout to wait longer"
        )
    if isinstance(error, ConnectionRefusedError):
        return errors.Unreachable(
            f"cannot reach {server}: connection refused; is the server running? Start it, or set --server"
        )
    if isinstance(error, socket.gaierror):
        return errors.Unreachable(f"cannot reach {server}: its name is not known; check --server")
    if isinstance(error, ssl.SSLCertVerificationError):
        return errors.NotOurServer(
            f"{server}: its certificate is not trusted ({error.verify_message}); set --cacert to your CA's file"
        )
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        reason = (error.reason or "").rpartition("ALERT_")[2].replace("_", " ").lower()
        return errors.Denied(
            f"{server} does not accept your certificate ({reason}); set --cert and --key to what its CA has signed"
        )
    if isinstance(error, ssl.SSLError):
        return errors.NotOurServer(f"{server} does not speak TLS; use http:// in --server")
    if isinstance(error, http.client.HTTPException | ConnectionResetError | BrokenPipeError):
        if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
            return errors.NotOurServer(f"{server} does not answer as an HTTP server does; check --server")
        return AnswerLost(f"{server} broke off before its answer was complete; try again")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return errors.Unreachable(f"cannot reach {server}: {reason}; check --server and the network")


def refusal(answer: Answer, server: str) -> errors.CtlError:
    """The error for an answer that is not a success; a problem's faults come one per line."""
    problem = problem_of(answer)
    if problem is None and answer.status in UNAVAILABLE:
        return errors.Unreachable(f"{server} is not ready to answer (HTTP {answer.status}); try again")
    if problem is None:
        hint = answer.headers.get("location", "")
        moved = f", which points to {hint}" if hint else ""
        return errors.NotOurServer(
            f"{server} answered HTTP {answer.status}{moved} without the scheduler's kind of error; check --server"
        )
    kind = errors.Unreachable if answer.status in UNAVAILABLE else ERROR_BY_STATUS.get(answer.status, errors.Refused)
    text = message_of(problem) or f"{server} refused with HTTP {answer.status}"
    if answer.status == 401:
        text += "; set --token, SCHEDCTL_TOKEN or token in the configuration file"
    return kind(text)


def problem_of(answer: Answer) -> dict[str, Any] | None:
    """The body of a problem+json answer (or of another JSON error that has a `detail`)."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and ("detail" in found or "title" in found) else None


def message_of(problem: Mapping[str, Any]) -> str:
    faults = problem.get("errors")
    if not isinstance(faults, list) or not faults:
        return str(problem.get("detail") or problem.get("title") or "")
    return "\n".join(["the server refused it:", *(f"  {fault_line(fault)}" for fault in faults)])


def fault_line(fault: Any) -> str:
    if not isinstance(fault, dict):
        return str(fault)
    return ": ".join(str(fault[key]) for key in ("path", "message") if fault.get(key))
