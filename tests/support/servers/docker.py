"""The Docker Engine of Debian's package in namespaces of its own, with two registries that only it can reach.

Invariant: its processes, mounts and networks are those of namespaces that end with this process, however it ends. On
the machine itself there is nothing of it but its folder, and control groups of the same name, which `close` removes.
"""

import base64
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

from tests.support.processes import Process
from tests.support.servers.base import LOOPBACK, MissingServer, Server
from tests.support.wait import wait_until

BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "cat", "echo", "env", "head", "id", "pwd", "sleep", "tail", "touch", "tr", "true")
IMAGE = "tools:1"
CGROUPS = Path("/sys/fs/cgroup")
NEEDED = ("dockerd", "docker-init", "docker-registry", "busybox", "unshare", "nsenter")
NAMESPACES = ("unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc", "--net")
OPEN_REGISTRY, CLOSED_REGISTRY = f"{LOOPBACK}:5000", f"{LOOPBACK}:5001"
LOGIN = ("tests", "tests-only")
LOGIN_HASHED = "tests:$2y$04$abcdefghijklmnopqrstuu0ODHlheu6nT7/qmFmtsfq.hUZUmR4ji"


class DockerEngine(Server):
    """One engine with the image IMAGE, a busybox. `options` are further ones of its command line.

    `OPEN_REGISTRY` serves whoever asks and `CLOSED_REGISTRY` whoever has LOGIN; `publish` fills both.
    """

    name = "docker"
    runs_as_root = True
    start_timeout_s = 60.0

    def __init__(self, *options: str) -> None:
        self.options = options
        super().__init__()
        self.add_image(IMAGE)

    @property
    def url(self) -> str:
        """What DOCKER_HOST takes."""
        return f"unix://{self.folder}/docker.sock"

    def prepare(self) -> None:
        _check()
        begin = "busybox ip link set lo up; exec docker-init -- sleep infinity"
        self.room = Process([*NAMESPACES, "sh", "-c", begin], self.folder / "log").start()
        self.inside = self.room.wait_for(psutil.Process(self.room.pid).children, what="the engine's namespaces")[0].pid
        (self.folder / "users").write_text(f"{LOGIN_HASHED}\n")
        login = {"htpasswd": {"realm": "tests", "path": str(self.folder / "users")}}
        self.registries = [self._registry(OPEN_REGISTRY), self._registry(CLOSED_REGISTRY, auth=login)]

    def _registry(self, address: str, **settings: Any) -> Process:
        file, folder = self.folder / f"{address}.yml", self.folder / address
        storage = {"filesystem": {"rootdirectory": str(folder)}, "delete": {"enabled": True}}
        settings |= {"version": 0.1, "storage": storage, "http": {"addr": address}}
        file.write_text(json.dumps(settings))
        argv = self._inside("docker-registry", "serve", str(file))
        return Process(argv, self.folder / "registries.log").start()

    def _inside(self, *argv: str) -> Sequence[str]:
        return ["nsenter", "--target", str(self.inside), "--pid", "--mount", "--net", *argv]

    def command(self) -> Sequence[str]:
        (self.folder / "daemon.json").write_text("{}")
        options = {
            "--host": self.url,
            "--data-root": str(self.folder / "data"),
            "--exec-root": str(self.folder / "exec"),
            "--pidfile": str(self.folder / "pid"),
            "--config-file": str(self.folder / "daemon.json"),
            "--cgroup-parent": f"/{self.folder.name}",
        }
        arguments = [word for option in options.items() for word in option]
        return self._inside("dockerd", *arguments, "--iptables=false", "--ip6tables=false", *self.options)

    def answers(self) -> bool:
        with suppress(OSError):
            return self.ask("GET", "/_ping") == b"OK"
        return False

    def stop(self) -> None:
        """In order: what runs in containers ends too, unless the engine has the option `--live-restore`."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the engine alone; what runs in containers goes on until an engine is there again."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        """The engine is the child of the program that entered its namespaces, which ends when it has."""
        if self.process.alive:
            for engine in psutil.Process(self.process.pid).children():
                engine.send_signal(number)
            self.process.wait_ended()

    def close(self) -> None:
        room = getattr(self, "room", None)
        if room is not None:
            room.kill()
            for process in (self.process, *self.registries):
                if process.popen is not None:
                    process.wait_ended()
            remove_control_groups(self.folder.name)
        shutil.rmtree(self.folder)

    def ask(self, method: str, path: str, body: bytes | None = None, login: str = "") -> bytes:
        """What the engine's API answers; `login` is one at a registry. Raises AssertionError where it refuses."""
        connection = http.client.HTTPConnection("engine")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(f"{self.folder}/docker.sock")
            connection.request(method, path, body, {"X-Registry-Auth": login})
            response = connection.getresponse()
            told = response.read()
        finally:
            connection.close()
        assert response.status < http.client.BAD_REQUEST, told
        assert b'"error"' not in told, told
        return told

    def add_image(self, name: str, *changes: str) -> None:
        """A busybox with what `changes` say, as in a Dockerfile, such as `CMD ["true"]`."""
        repository, _, tag = name.rpartition(":")
        query = [("fromSrc", "-"), ("repo", repository), ("tag", tag), *(("changes", each) for each in changes)]
        self.ask("POST", f"/images/create?{urlencode(query)}", _root_folder())

    def publish(self, name: str, registry: str) -> str:
        """A new image in a registry, which the engine itself has not; its whole name."""
        self.add_image(f"{registry}/{name}")
        image, _, tag = f"{registry}/{name}".rpartition(":")
        login = json.dumps(dict(zip(("username", "password"), LOGIN, strict=True))).encode()
        self.ask(
            "POST", f"/images/{image}/push?{urlencode({'tag': tag})}", login=base64.urlsafe_b64encode(login).decode()
        )
        self.ask("DELETE", f"/images/{image}:{tag}")
        return f"{image}:{tag}"


def _check() -> None:
    """Raises MissingServer for what the engine cannot do without."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        raise MissingServer(f"{', '.join(missing)} is missing; run: tools/test-servers")
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise MissingServer(f"the Docker Engine needs root with namespaces of its own: {tried.stderr.strip()}")


def remove_control_groups(name: str) -> None:
    """Those of the engine's containers, once the kernel has ended what was in them."""
    for root in (*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")):
        wait_until(lambda root=root: _removed(root), what=f"the control groups in {root} to be empty")  # type: ignore[misc]


def _removed(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()
    return not group.exists()


def _root_folder() -> bytes:
    """A root file system as an archive: busybox, and its programs as links to it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(BUSYBOX, "bin/busybox")
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    return archive.getvalue()
