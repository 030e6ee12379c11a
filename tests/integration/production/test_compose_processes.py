"""Every command of the compose file starts on real servers and becomes healthy by the file's own health check."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.compose import Adapted, adapt, example_names, folder, load
from tests.support.processes import ROOT, Process, Processes, clean_environment
from tests.support.servers import NatsServer, PostgresServer, RabbitServer, accepts, answer, free_port, valkey_path
from tests.support.wait import wait_until

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
ONCE = ("migrate", "join-tokens")
LASTING = ("web", "control", "clock", "nats-bridge", "host-a", "host-b", "host-c", "flower")
VALUES = dict.fromkeys(example_names(), "sixteen-letters-") | {
    "BROKER_URL": "",
    "SECRET_KEY": "a key for the tests of the compose file, long enough to be taken",
    "FLOWER_BASIC_AUTH": "operator:password",
    "SCHEDULER_TRUSTED_ORIGINS": "https://scheduler.example.org",
}
HEALTHY_WITHIN_S = 90


class Deployment:
    """The processes of the compose file on the test's servers."""

    def __init__(self, root: Path, addresses: Mapping[str, str]) -> None:
        self.web_port, self.flower_port = free_port(), free_port()
        self.processes = Processes(root)
        self.services: dict[str, Adapted] = {}
        self.running: dict[str, Process] = {}
        words = {
            "0.0.0.0": "127.0.0.1",
            "8000": str(self.web_port),
            "5555": str(self.flower_port),
            "/var/lib/scheduler-join": str(folder(root, "join-tokens-made")),
        }
        for name, service in load(VALUES)["services"].items():
            if service["image"] == "scheduler":
                own = folder(root, name)
                variables = {**addresses, "SCHEDULER_ALIVE_FILE": str(own / "alive")}
                self.services[name] = adapt(name, service, words, variables)

    def environment(self, name: str) -> dict[str, str]:
        data = str(self.processes.folder / name)
        return {**self.services[name].environment, "PATH": PATH, "SCHEDULER_DATA_DIR": data}

    def start(self, name: str) -> Process:
        self.running[name] = self.processes.start(self.services[name].argv, **self.environment(name))
        return self.running[name]

    def health(self, name: str) -> int:
        """The exit code of the service's health check."""
        environment = clean_environment(**self.environment(name))
        return subprocess.run(
            self.services[name].health, cwd=ROOT, env=environment, capture_output=True, timeout=30, check=False
        ).returncode


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    rabbitmq_server: RabbitServer,
    lasting_nats_server: NatsServer,
) -> Iterator[Deployment]:
    """All of it, after its migration has ended well."""
    addresses = {
        "DATABASE_URL": postgres_server.create_database(),
        "BROKER_URL": rabbitmq_server.url,
        "NATS_URI": lasting_nats_server.url,
    }
    deployed = Deployment(tmp_path_factory.mktemp("compose"), addresses)
    try:
        for name in ONCE:
            process = deployed.start(name)
            assert process.wait_ended(60) == 0, process.output
        for name in LASTING:
            deployed.start(name)
        yield deployed
    finally:
        deployed.processes.stop_all()


def test_no_process_of_the_file_is_left_out(deployment: Deployment) -> None:
    assert set(deployment.services) == {*LASTING, *ONCE}


@pytest.mark.parametrize("name", LASTING)
def test_the_process_becomes_healthy(deployment: Deployment, name: str) -> None:
    process = deployment.running[name]
    process.wait_for(lambda: deployment.health(name) == 0, HEALTHY_WITHIN_S, what=f"{name} is healthy")


def test_together_they_are_ready(deployment: Deployment) -> None:
    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{deployment.web_port}/readyz", timeout=10) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    deployment.running["web"].wait_for(ready, HEALTHY_WITHIN_S, what="/readyz answers 200")


def test_a_process_that_has_ended_is_not_healthy(deployment: Deployment) -> None:
    alive = Path(deployment.environment("host-c")["SCHEDULER_ALIVE_FILE"])
    wait_until(lambda: deployment.health("host-c") == 0, HEALTHY_WITHIN_S)
    deployment.running["host-c"].stop()
    os.utime(alive, (0, 0))
    assert deployment.health("host-c") != 0
    deployment.start("host-c")


def test_the_command_of_nats_answers_its_health_check(tmp_path: Path) -> None:
    port, http_port = free_port(), free_port()
    service = adapt("nats", load(VALUES)["services"]["nats"], {"8222": str(http_port), "/data": str(tmp_path)}, {})
    argv = ["nats-server", *service.argv, "--addr", "127.0.0.1", "--port", str(port)]
    server = Process(argv, tmp_path / "log", clean_environment(PATH=PATH)).start()
    try:
        url = service.health[-1]

        def healthy() -> bool:
            with suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
            return False

        server.wait_for(lambda: accepts(http_port))
        server.wait_for(healthy)
    finally:
        server.stop()


def test_the_command_of_valkey_answers_to_its_password_alone(tmp_path: Path) -> None:
    port = free_port()
    service = adapt("valkey", load(VALUES)["services"]["valkey"], {"/data": str(tmp_path)}, {})
    argv = [str(valkey_path()), *service.argv[1:], "--bind", "127.0.0.1", "--port", str(port)]
    server = Process(argv, tmp_path / "log").start()
    try:
        server.wait_for(lambda: answer(port, b"PING\r\n").startswith(b"-NOAUTH"))
        login = f"AUTH {service.environment['REDISCLI_AUTH']}\r\n".encode()
        assert answer(port, login).startswith(b"+OK")
    finally:
        server.stop()
