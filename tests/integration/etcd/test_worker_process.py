"""The bridge as a real Celery worker between a real etcd and a real control worker and agent."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.processes import Processes
from tests.support.servers import EtcdServer, ValkeyServer
from tests.support.wait import wait_until
from workers.links.etcd import EtcdAddress, EtcdLink, Put
from workers.models import Command, Worker

HOST = "host-etcd"


class Outsider:
    """A program made for go-schedule: puts tasks into etcd and reads what becomes of them."""

    def __init__(self, url: str, prefix: str) -> None:
        self.link = EtcdLink(EtcdAddress((url,)))
        self.prefix = prefix

    def put(self, name: str, *argv: str) -> None:
        document = {"id": name, "cmd": argv[0], "parameters": argv[1:], "state": "pending"}
        self.link.write([Put(f"{self.prefix}task_{name}", json.dumps(document).encode())], [], [])

    def keys(self, kind: str) -> list[str]:
        found = self.link.read(self.prefix + kind, limit=1000)
        return [record.key.removeprefix(self.prefix + kind) for record in found]

    def task(self, name: str) -> dict[str, Any]:
        found = self.link.read(f"{self.prefix}task_{name}", limit=1)
        return dict(json.loads(found[0].value)) if found else {}

    def ended(self, name: str, timeout_s: float = 40) -> dict[str, Any]:
        """The task's record once it is done or dead."""
        return wait_until(
            lambda: task if (task := self.task(name)).get("state") in ("done", "dead") else None,
            timeout_s,
            what=f"the end of task_{name}: {self.task(name)}",
        )


@pytest.fixture
def outsider(etcd_server: EtcdServer) -> Iterator[Outsider]:
    """An outsider below a prefix of its own."""
    outsider = Outsider(etcd_server.url, f"{uuid.uuid4().hex}/")
    yield outsider
    outsider.link.close()


class System:
    """Control, clock, an agent and bridges on one broker and one etcd."""

    def __init__(self, processes: Processes, broker: str, database: str, outsider: Outsider, endpoint: str) -> None:
        self.processes, self.broker = processes, broker
        self.variables = {"DATABASE_URL": database}
        self.etcd = {**self.variables, "ETCD_ENDPOINTS": endpoint, "ETCD_PREFIX": outsider.prefix}

    def start(self) -> None:
        self.processes.worker("control", self.broker, **self.variables)
        beat = ("beat", "-l", "INFO", "-s", str(self.processes.folder / "beat"))
        self.processes.celery(*beat, BROKER_URL=self.broker, SECRET_KEY="tests-only", **self.variables)
        self.processes.worker(HOST, self.broker)

    def bridge(self) -> Any:
        return self.processes.worker("etcd", self.broker, **self.etcd)


@pytest.fixture
def system(
    outsider: Outsider, etcd_server: EtcdServer, valkey_server: ValkeyServer, database_url: str, processes: Processes
) -> System:
    """A system with a connected agent and without a bridge yet."""
    valkey_server.flush()
    system = System(processes, valkey_server.url, database_url, outsider, etcd_server.url)
    system.start()
    wait_until(Worker.objects.connected().exists, 40, what="the agent to be connected")
    return system


@pytest.mark.timeout(180)
def test_an_outsiders_task_is_run_once_with_two_bridges_also_when_the_leading_one_is_killed(
    system: System, outsider: Outsider
) -> None:
    counted = system.processes.folder / "counted"
    bridges = [system.bridge(), system.bridge()]
    names = [uuid.uuid4().hex for _ in range(20)]
    for name in names[:10]:
        outsider.put(name, "sh", "-c", f"echo {name} | tee -a {counted}")
    assert outsider.ended(names[0])["stdout"] == f"{names[0]}\n"
    leading = next(bridge for bridge in bridges if "etcd.leading" in bridge.output)
    for name in names[10:]:
        outsider.put(name, "sh", "-c", f"echo {name} | tee -a {counted}")
    leading.kill()

    for name in names:
        assert outsider.ended(name)["stdout"] == f"{name}\n"
    assert sorted(counted.read_text().split()) == sorted(names)
    worker = Worker.objects.get()
    assert outsider.keys("worker_") == outsider.keys("live_") == [worker.id]


@pytest.mark.once
@pytest.mark.timeout(180)
def test_work_goes_on_without_etcd_which_is_caught_up_and_filled_again_when_it_is_wiped(
    system: System, outsider: Outsider, etcd_server: EtcdServer
) -> None:
    system.bridge()
    outsider.put("before", "sh", "-c", "sleep 3; echo before; exit 7")
    wait_until(lambda: outsider.task("before").get("state") == "scheduled", 30, what="the task to be scheduled")
    etcd_server.kill()
    try:
        wait_until(lambda: Command.objects.get().state == "done", 30, what="the command to go on without etcd")
    finally:
        etcd_server.start()

    assert outsider.ended("before")["workerError"] == "exit code 7"

    etcd_server.wipe()
    assert outsider.ended("before")["stdout"] == "before\n"
    wait_until(lambda: outsider.keys("live_") == [Worker.objects.get().id], 20, what="the worker's key")


@pytest.mark.once
def test_a_bridge_without_an_address_ends_and_says_what_to_set(
    valkey_server: ValkeyServer, database_url: str, processes: Processes
) -> None:
    variables = {"BROKER_URL": valkey_server.url, "DATABASE_URL": database_url, "SECRET_KEY": "tests-only"}
    worker = processes.celery("worker", "-Q", "etcd", **variables, SCHEDULER_DATA_DIR=str(processes.folder))

    assert worker.wait_ended(60) == 1
    assert "ETCD_ENDPOINTS is not set" in worker.output
    assert "Traceback" not in worker.output
