"""Any one process may be killed at any time: it is back soon, and no work is lost or done twice."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import ROOT
from tests.support.system import DEMO_INSTANCES, System, running_system
from tests.support.wait import wait_until

BACK_WITHIN_S = 15
PROCESSES = ("valkey", "nats", "control", "web", "clock", "nats-bridge", "host-a", "demo-connector", "flower")

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    yield from running_system(tmp_path_factory.mktemp("chaos") / "data")


def submit_graph(system: System, name: str, folder: Path) -> None:
    """The demo's graph under another name."""
    document = json.loads((ROOT / "examples" / "graph.json").read_text()) | {"id": name, "name": name}
    file = folder / f"{name}.json"
    file.write_text(json.dumps(document))
    submitted = system.schedctl("graphs", "submit", str(file))
    assert submitted.returncode == 0, submitted.stderr


def assert_work_goes_on(system: System, graph: str) -> None:
    """The graph in progress completes, and services are counted right, without a doubled server process."""

    def completed() -> bool:
        shown = system.schedctl("-o", "json", "graphs", "get", graph)
        return shown.returncode == 0 and json.loads(shown.stdout)["state"] == "completed"

    wait_until(completed, 60, every_s=0.5, what=f"graph {graph} to complete")
    system.wait_instances_run()
    assert len(system.server_processes()) == DEMO_INSTANCES


@pytest.mark.parametrize("name", PROCESSES)
def test_a_killed_process_is_back_and_work_goes_on(system: System, tmp_path: Path, name: str) -> None:
    system.wait_instances_run()
    submit_graph(system, f"survives-{name}", tmp_path)
    before = wait_until(lambda: system.pid_of(name), what=f"{name} to be up")

    psutil.Process(before).send_signal(signal.SIGKILL)

    wait_until(lambda: system.pid_of(name) not in (None, before), BACK_WITHIN_S, what=f"{name} to be back")
    wait_until(lambda: system.http("/readyz")[0] == 200, BACK_WITHIN_S, what="readiness")
    assert_work_goes_on(system, f"survives-{name}")


def test_a_hosts_supervisor_killed_leaves_its_servers_running_once(system: System, tmp_path: Path) -> None:
    system.wait_instances_run()
    submit_graph(system, "survives-supervisor", tmp_path)
    pid_file = system.data_dir / "agents" / "host-a" / "supervisor.pid"
    before = int(pid_file.read_text().split()[0])

    psutil.Process(before).kill()

    wait_until(lambda: int(pid_file.read_text().split()[0]) != before, BACK_WITHIN_S, what="another supervisor")
    assert_work_goes_on(system, "survives-supervisor")
