"""Real servers for tests, on free ports of the loopback address, from wheels or from Debian's packages."""

from tests.support.servers.base import LOOPBACK, MissingServer, Server, accepts, answer, free_port
from tests.support.servers.chromium import chromium_path
from tests.support.servers.docker import DockerEngine
from tests.support.servers.etcd import EtcdServer
from tests.support.servers.nats import NatsServer, PlainNatsServer, TlsNatsServer
from tests.support.servers.postgres import DurablePostgresServer, PostgresServer
from tests.support.servers.rabbitmq import RabbitServer, TlsRabbitServer
from tests.support.servers.valkey import TlsRedisServer, ValkeyServer, valkey_path

__all__ = [
    "LOOPBACK",
    "DockerEngine",
    "DurablePostgresServer",
    "EtcdServer",
    "MissingServer",
    "NatsServer",
    "PlainNatsServer",
    "PostgresServer",
    "RabbitServer",
    "Server",
    "TlsNatsServer",
    "TlsRabbitServer",
    "TlsRedisServer",
    "ValkeyServer",
    "accepts",
    "answer",
    "chromium_path",
    "free_port",
    "valkey_path",
]
