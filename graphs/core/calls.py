"""HTTP calls that components ask for: what is wrong with one, where it may go, and what an answer means.

Invariant: a call without faults goes to an allowed host only, and names secrets instead of holding them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from graphs.core.merge import reply_problem
from graphs.core.templating import is_template
from graphs.core.values import parse_json
from scheduler_project.toolkit.errors import Fault, InvalidDocument

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PORTS = {"http": 80, "https": 443}
TIMEOUT_DEFAULT_S, TIMEOUT_MAX_S = 30.0, 240.0
ACCEPTED = 202
TEXT_LENGTH = 4096
REASON_LENGTH = 300
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
SECRET = re.compile(r"\$secret\(([A-Za-z0-9_]+)\)")
KINDS: Mapping[str, tuple[Any, str]] = {
    "url": (str, "a string"),
    "headers": (dict, "an object of strings"),
    "expect": (list, "a list of HTTP statuses"),
    "verify": (bool, "true or false"),
    "callback": (bool, "true or false"),
}


@dataclass(frozen=True)
class Call:
    """One HTTP request. `expect` are the statuses of success, none for all from 200 to 299."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    expect: tuple[int, ...] = ()
    timeout_s: float = TIMEOUT_DEFAULT_S
    verify: bool = True
    callback: bool = False


@dataclass(frozen=True)
class Answer:
    """What came back. `too_large` where the body went on beyond what is read of it."""

    status: int
    body: bytes
    too_large: bool = False


@dataclass(frozen=True)
class Outcome:
    """What an answer means for its component; `state` is completed, errored, or `awaiting` a callback."""

    state: str
    reason: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)


def call_of(document: Mapping[str, Any]) -> Call:
    """The call in a component without faults."""
    return Call(
        method=document.get("method", "POST"),
        url=document["url"],
        headers=document.get("headers", {}),
        body=document.get("body"),
        expect=tuple(document.get("expect", ())),
        timeout_s=float(document.get("timeout_s", TIMEOUT_DEFAULT_S)),
        verify=document.get("verify", True),
        callback=document.get("callback", False),
    )


def call_faults(document: Mapping[str, Any], path: str, hosts: Sequence[str]) -> list[Fault]:
    """Everything wrong with a component's call, `hosts` being the patterns of hosts that it may go to."""
    faults = [
        Fault(f"{path}.{key}", f"must be {words}")
        for key, (kind, words) in KINDS.items()
        if key in document and not isinstance(document[key], kind)
    ]
    if document.get("method", "POST") not in METHODS:
        faults.append(Fault(f"{path}.method", f"{document['method']!r} is none of {', '.join(METHODS)}"))
    timeout_s = document.get("timeout_s", TIMEOUT_DEFAULT_S)
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s <= TIMEOUT_MAX_S:
        faults.append(Fault(f"{path}.timeout_s", f"must be a number of seconds above 0, at most {TIMEOUT_MAX_S:g}"))
    if faults:
        return faults
    return [
        *_url_faults(document.get("url", ""), f"{path}.url", hosts),
        *_header_faults(document.get("headers", {}), f"{path}.headers"),
        *(
            Fault(f"{path}.expect[{index}]", "must be an HTTP status from 200 to 599")
            for index, status in enumerate(document.get("expect", ()))
            if not isinstance(status, int) or not 200 <= status <= 599
        ),
    ]


def _url_faults(url: str, path: str, hosts: Sequence[str]) -> list[Fault]:
    if not url:
        return [Fault(path, "is missing")]
    if is_template(url):
        return []
    if not url.isascii() or not url.isprintable() or " " in url:
        return [Fault(path, "holds characters that a URL may not hold")]
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        return [Fault(path, "must begin with http:// or https:// and name a host")]
    if not parts.hostname:
        return [Fault(path, "must begin with http:// or https:// and name a host")]
    if parts.username or parts.password:
        return [Fault(path, "may not hold a login; use a header with $secret(NAME)")]
    if not is_allowed(parts.hostname, port, parts.scheme, hosts):
        return [Fault(path, f"{parts.hostname}:{port} is not in SCHEDULER_HTTP_HOSTS, so it is not called")]
    return []


def is_allowed(host: str, port: int, scheme: str, hosts: Sequence[str]) -> bool:
    """Whether a host is in a list such as `api.example.com, *.example.org, example.net:8443`.

    A pattern without a port means the usual one of http and https.
    """
    for pattern in hosts:
        name, _, wanted = pattern.lower().partition(":")
        port_fits = str(port) == wanted if wanted else port == PORTS[scheme]
        if port_fits and fnmatchcase(host.lower(), name):
            return True
    return False


def _header_faults(headers: Mapping[str, Any], path: str) -> list[Fault]:
    faults: list[Fault] = []
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in ("host", "content-length", "transfer-encoding"):
            faults.append(Fault(f"{path}.{name}", "cannot be set as a header"))
        elif not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
            faults.append(Fault(f"{path}.{name}", "must be a string of printable ASCII characters"))
    return faults


def with_secrets(headers: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """The headers with each `$secret(NAME)` filled in. Raises KeyError with the name of one that is not there."""
    return {name: SECRET.sub(lambda found: secrets[found[1]], value) for name, value in headers.items()}


def outcome_of(call: Call, answer: Answer) -> Outcome:
    """What an answer means. A JSON object is merged into the component; anything else becomes its `response`."""
    told = {"http_status": answer.status}
    if answer.too_large:
        return Outcome("errored", f"HTTP {answer.status} with a body of more than {len(answer.body)} bytes", told)
    expected = answer.status in call.expect if call.expect else 200 <= answer.status < 300
    if not expected:
        text = " ".join(answer.body[:TEXT_LENGTH].decode(errors="replace").split())
        return Outcome("errored", f"HTTP {answer.status}: {text[:REASON_LENGTH]}".rstrip(": "), told)
    if call.callback and answer.status == ACCEPTED:
        return Outcome("awaiting")
    document = {**_read(answer.body), **told}
    problem = reply_problem(document)
    return Outcome("errored", f"the answer cannot be kept: {problem}", told) if problem else _completed(document)


def _completed(document: Mapping[str, Any]) -> Outcome:
    return Outcome("completed", "", document)


def callback_outcome(body: Any) -> Outcome:
    """What the body of a callback means: `_state` completed (also where it is missing) or errored, with `error`."""
    if not isinstance(body, dict):
        raise InvalidDocument([Fault("", "must be a JSON object")])
    problem = reply_problem(body)
    if problem:
        raise InvalidDocument([Fault("", problem)])
    state = body.get("_state", "completed")
    if state not in ("completed", "errored"):
        raise InvalidDocument([Fault("_state", "must be completed or errored")])
    reason = body.get("error") or "the callback says so without saying why"
    return Outcome(state, str(reason)[:2000] if state == "errored" else "", body)


def _read(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = parse_json(body)
    except InvalidDocument:
        return {"response": body[:TEXT_LENGTH].decode(errors="replace").replace("\x00", "\ufffd")}
    return value if isinstance(value, dict) else {"response": value}
