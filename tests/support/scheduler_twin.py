"""A twin of the HTTP API for schedctl's tests: it gives the answers that it was told and keeps what was asked."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request that reached the twin."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """One answer. `hang_up` closes the connection instead of answering."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False


def answer(document: Any, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def problem(status: int, detail: str, errors: Sequence[tuple[str, str]] = ()) -> Reply:
    """A problem+json answer."""
    body: dict[str, Any] = {"status": status, "title": "problem", "detail": detail}
    if errors:
        body["errors"] = [{"path": path, "message": message} for path, message in errors]
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/problem+json"})


def output(data: bytes, next_offset: int, ended: str = "false", attempt: int = 1) -> Reply:
    """A piece of a command's output."""
    return Reply(200, data, {"X-Next-Offset": str(next_offset), "X-Ended": ended, "X-Attempt": str(attempt)})


class Twin:
    """A server on a free port. Replies to one route are given in order; the last one stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: dict[str, list[Reply]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def on(self, route: str, *replies: Reply) -> None:
        """`route` is such as `GET /hosts`, or `GET /commands/c1/output stdout` for one stream."""
        self._replies[route] = list(replies)

    def calls(self, route: str) -> list[Asked]:
        """What was asked of a route."""
        return [asked for asked in self.asked if f"{asked.method} {asked.path}" == route]

    @contextmanager
    def running(self) -> Iterator["Twin"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def reply_to(self, asked: Asked) -> Reply:
        route = f"{asked.method} {asked.path}"
        replies = self._replies.get(f"{route} {asked.query.get('stream', '')}") or self._replies.get(route)
        if not replies:
            return problem(404, f"the twin has no answer to {route}")
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        twin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.exchange()

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names that http.server calls

            def exchange(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = url.path.removeprefix("/api/v1")
                asked = Asked(self.command, path, dict(parse_qsl(url.query)), dict(self.headers), body)
                twin.asked.append(asked)
                self.give(twin.reply_to(asked))

            def give(self, reply: Reply) -> None:
                if reply.hang_up:
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:
                """Silent: tests read what was asked from the twin."""

        return Handler
