"""RabbitMQ, and the same behind TLS."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.certificates import Authority
from tests.support.processes import Process, ProcessEnded, clean_environment
from tests.support.servers.base import LOOPBACK, MissingServer, Server, accepts, answer, free_port

SMALL_MACHINE = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"


class RabbitServer(Server):
    """RabbitMQ from Debian's package, as a node of its own with its own epmd, cookie and folder."""

    name = "rabbitmq"
    start_timeout_s = 90.0
    program_folder = "/usr/lib/rabbitmq/lib"

    def prepare(self) -> None:
        self.distribution_port, self.epmd_port = free_port(), free_port()
        self.node = f"test-{uuid.uuid4().hex[:12]}@localhost"
        self.epmd = Process([], self.folder / "epmd.log")
        (self.folder / "enabled_plugins").write_text("[].\n")

    @property
    def url(self) -> str:
        return self.url_of("guest", "guest")

    def url_of(self, user: str, password: str) -> str:
        """The address for one user."""
        return f"amqp://{user}:{password}@{LOOPBACK}:{self.port}//"

    def command(self) -> Sequence[str]:
        return [self._program("rabbitmq-server")]

    def control(self, *words: str) -> str:
        """What `rabbitmqctl` answers."""
        environment = clean_environment(HOME=str(self.folder), **self.variables())
        argv = [self._program("rabbitmqctl"), "--quiet", *words]
        ran = subprocess.run(argv, env=environment, capture_output=True, text=True, user=self.user, check=False)
        if ran.returncode:
            raise ProcessEnded(f"{' '.join(words)}: {ran.stdout}{ran.stderr}")
        return ran.stdout

    def _program(self, name: str) -> str:
        programs = sorted(Path(self.program_folder).glob(f"rabbitmq_server-*/sbin/{name}"))
        if not programs or not shutil.which("epmd"):
            raise MissingServer("RabbitMQ is missing; run: tools/test-servers")
        return str(programs[-1])

    def variables(self) -> Mapping[str, str]:
        return {
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {SMALL_MACHINE}",
            "RUNNING_UNDER_SYSTEMD": "true",  # the script then becomes the server instead of staying its parent
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
        }

    def start(self) -> Self:
        self.command()
        if not self.epmd.alive:
            argv = ["epmd", "-address", LOOPBACK, "-port", str(self.epmd_port)]
            self.epmd = Process(argv, self.folder / "epmd.log", clean_environment(), self.folder, self.user).start()
            self.epmd.wait_for(lambda: accepts(self.epmd_port), what="epmd")
        return super().start()

    def answers(self) -> bool:
        return answer(self.port, b"AMQP\x00\x00\x09\x01").startswith(b"\x01")

    def close(self) -> None:
        self.process.kill()
        self.epmd.kill()
        super().close()


class TlsRabbitServer(RabbitServer):
    """RabbitMQ behind TLS alone; lets in only clients with a certificate of the authority."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.pair = authority.issue("rabbitmq-server")
        super().__init__()

    def url_of(self, user: str, password: str) -> str:
        return f"amqps://{user}:{password}@{LOOPBACK}:{self.port}//"

    def prepare(self) -> None:
        super().prepare()
        options = {
            "listeners.tcp": "none",
            "listeners.ssl.default": f"{LOOPBACK}:{self.port}",
            "ssl_options.cacertfile": self.authority.cert,
            "ssl_options.certfile": self.pair.cert,
            "ssl_options.keyfile": self.pair.key,
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "true",
        }
        lines = (f"{name} = {value}\n" for name, value in options.items())
        (self.folder / "rabbitmq.conf").write_text("".join(lines))

    def answers(self) -> bool:
        return accepts(self.port)
