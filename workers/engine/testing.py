"""A twin of the Docker Engine: the part of its API that we use, on a socket of its own, with processes for containers.

Held against the same contract as a real engine. Images are names; what a container runs is a program of this machine.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

ROUTE = re.compile(r"/(_ping|containers|images)(?:/(.+?))?(?:/(json|start|stop|wait|logs))?")
UNKNOWN_IMAGE = "nowhere/nothing"
PIECE_BYTES = 65_536
NO_PROGRAM = 'echo "[FATAL tini (7)] exec $0 failed: No such file or directory" >&2; exit 127'


@dataclass
class TwinContainer:
    """A container: what it was created from, its process, and the frames that it has written."""

    document: Mapping[str, Any]
    process: subprocess.Popen[bytes] | None = None
    readers: list[threading.Thread] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    over: bool = False
    out_of_memory: bool = False

    def start(self, changed: threading.Condition) -> None:
        """As the engine's `init` does, it says itself what cannot be started, and ends with 127. Once."""
        if self.process is not None:
            return
        entrypoint = [word for word in self.document.get("Entrypoint", ()) if word]
        argv = [*entrypoint, *self.document.get("Cmd", () if entrypoint else ("true",))]
        if shutil.which(argv[0], path=os.defpath) is None:
            argv = ["sh", "-c", NO_PROGRAM, argv[0]]
        given = dict(entry.split("=", 1) for entry in self.document["Env"])
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.defpath, **given},
            cwd=self.document["WorkingDir"] or "/",
            start_new_session=True,
        )
        for stream, pipe in ((1, self.process.stdout), (2, self.process.stderr)):
            self.readers.append(threading.Thread(target=self._read, args=(stream, pipe, changed), daemon=True))
            self.readers[-1].start()
        threading.Thread(target=self._await, args=(self.process, changed), daemon=True).start()

    @property
    def runs(self) -> bool:
        return self.process is not None and not self.over

    def signal(self, number: int) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def state(self) -> dict[str, Any]:
        code = 0 if self.process is None or not self.over else self.process.returncode
        return {"Running": self.runs, "ExitCode": code if code >= 0 else 128 - code, "OOMKilled": self.out_of_memory}

    def _read(self, stream: int, pipe: Any, changed: threading.Condition) -> None:
        while piece := os.read(pipe.fileno(), PIECE_BYTES):
            with changed:
                self.frames.append(bytes([stream, 0, 0, 0]) + len(piece).to_bytes(4, "big") + piece)
                changed.notify_all()
        pipe.close()

    def _await(self, process: subprocess.Popen[bytes], changed: threading.Condition) -> None:
        process.wait()
        for reader in self.readers:
            reader.join()
        with changed:
            self.over = True
            changed.notify_all()


class EngineTwin(ThreadingMixIn, UnixStreamServer):
    """Use as a context manager; `address` is what `DOCKER_HOST` is to say."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path) -> None:
        self.address = f"unix://{folder}/engine.sock"
        self.images: set[str] = set()
        self.pulled: list[str] = []
        self.containers: dict[str, TwinContainer] = {}
        self.created: list[Mapping[str, Any]] = []
        self.changed = threading.Condition()
        self.breaking = 0
        super().__init__(f"{folder}/engine.sock", _Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.shutdown()
        self.server_close()
        for container in self.containers.values():
            container.signal(signal.SIGKILL)

    def break_connections(self, count: int) -> None:
        """The next so many answers about output are cut off after their first piece."""
        self.breaking = count

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no matter of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EngineTwin

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def address_string(self) -> str:
        return "client"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match = ROUTE.fullmatch(parts.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        if match is None:
            return self._refuse(404, "page not found")
        kind, name, verb = match[1], unquote(match[2] or ""), match[3]
        if kind == "_ping":
            return self._send(200, b"OK")
        if kind == "images":
            return self._pull(query) if name == "create" else self._image(name)
        if name == "create":
            return self._create(query["name"], body)
        if name == "json":
            return self._list(query)
        container = self.server.containers.get(name)
        if container is None:
            return self._refuse(404, f"No such container: {name}")
        return self._about(name, container, "remove" if self.command == "DELETE" else verb, query)

    def _about(self, name: str, container: TwinContainer, verb: str, query: Mapping[str, str]) -> None:
        match verb:
            case "start":
                self._start(container)
            case "stop":
                container.signal(signal.SIGTERM)
                if not self._await_end(container, float(query["t"])):
                    container.signal(signal.SIGKILL)
                    self._await_end(container, None)
                self._send(204)
            case "wait":
                self._await_end(container, None)
                self._send_json(200, {"StatusCode": container.state()["ExitCode"]})
            case "json":
                self._send_json(200, {"State": container.state()})
            case "logs":
                self._logs(container, "follow" in query)
            case _:
                container.signal(signal.SIGKILL)
                del self.server.containers[name]
                self._send(204)

    def _image(self, name: str) -> None:
        if name in self.server.images:
            self._send_json(200, {"Id": name})
        else:
            self._refuse(404, f"No such image: {name}")

    def _pull(self, query: Mapping[str, str]) -> None:
        image = f"{query['fromImage']}:{query['tag']}"
        self.server.pulled.append(image)
        if query["fromImage"] == UNKNOWN_IMAGE:
            told: dict[str, Any] = {"error": f"pull access denied for {UNKNOWN_IMAGE}"}
        else:
            self.server.images |= {image, query["fromImage"]}
            told = {"status": "Pull complete"}
        self._send(200, json.dumps({"status": "Pulling"}).encode() + b"\r\n" + json.dumps(told).encode() + b"\r\n")

    def _create(self, name: str, document: Mapping[str, Any]) -> None:
        if document["Image"] not in self.server.images:
            self._refuse(404, f"No such image: {document['Image']}")
        elif name in self.server.containers:
            self._refuse(409, f'Conflict. The container name "/{name}" is already in use')
        else:
            self.server.created.append(document)
            self.server.containers[name] = TwinContainer(document)
            self._send_json(201, {"Id": name, "Warnings": []})

    def _list(self, query: Mapping[str, str]) -> None:
        wanted = [label.partition("=") for label in json.loads(query["filters"])["label"]]
        labels = {name: each.document["Labels"] for name, each in self.server.containers.items()}
        found = [
            {"Names": [f"/{name}"], "Labels": has}
            for name, has in labels.items()
            if all(has.get(label) == value for label, _, value in wanted)
        ]
        self._send_json(200, found)

    def _start(self, container: TwinContainer) -> None:
        try:
            container.start(self.server.changed)
        except OSError as error:
            self._refuse(400, f"failed to create task for container: {error}")
        else:
            self._send(204)

    def _await_end(self, container: TwinContainer, timeout_s: float | None) -> bool:
        with self.server.changed:
            return self.server.changed.wait_for(lambda: not container.runs, timeout_s)

    def _logs(self, container: TwinContainer, follow: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for frame in self._frames(container) if follow else list(container.frames):
            self.wfile.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
            if self.server.breaking:
                self.server.breaking -= 1
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def _frames(self, container: TwinContainer) -> Iterator[bytes]:
        position = 0
        while True:
            with self.server.changed:
                while position == len(container.frames) and container.runs:
                    self.server.changed.wait()
                found = container.frames[position:]
            if not found:
                return
            yield from found
            position += len(found)

    def _refuse(self, status: int, message: str) -> None:
        self._send_json(status, {"message": message})

    def _send_json(self, status: int, document: Any) -> None:
        self._send(status, json.dumps(document).encode())

    def _send(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
