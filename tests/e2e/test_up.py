"""What a newcomer gets from one command, and what is left when it is told to stop: its state, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from scheduler_project.up import ports
from tests.support.processes import ROOT, clean_environment
from tests.support.system import DEMO_INSTANCES, System
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(900)
PICTURES = {
    f"{page}{scheme}.png"
    for page in ("home", "graph", "time", "topology", "hosts", "command", "admin")
    for scheme in ("", "-dark")
}


def test_ready_means_that_the_whole_demo_works(system: System) -> None:
    status, body = system.http("/readyz")

    assert status == 200, body
    system.wait_instances_run()
    assert len(system.server_processes()) == DEMO_INSTANCES
    graphs = {graph["id"]: graph["state"] for graph in system.items("graphs", "ls")}
    assert graphs["shop-1"] == "completed"


def test_the_file_with_the_operators_token_is_private(system: System) -> None:
    assert (system.data_dir / "schedctl.yaml").stat().st_mode & 0o077 == 0


def test_nothing_is_open_without_a_login(system: System) -> None:
    assert system.http("/healthz")[0] == 200
    assert system.http("/api/v1/hosts")[0] == 401


def test_applying_the_same_file_again_changes_and_restarts_nothing(system: System) -> None:
    system.wait_instances_run()
    before = {process.pid for process in system.server_processes()}

    applied = system.manage("apply", "examples/cluster.yml")

    assert applied.returncode == 0, applied.stderr
    assert {line.rpartition(": ")[2] for line in applied.stdout.splitlines() if ": " in line} == {"unchanged"}
    assert {process.pid for process in system.server_processes()} == before


def test_every_fault_of_a_file_is_named_and_nothing_is_changed(system: System, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yml"
    file.write_text(
        "clusters: [{name: fresh, services: [nowhere]}]\n"
        "services: [{name: wrong, task_name: web, task_version: two, desire: 3}]\n"
    )

    refused = system.manage("apply", str(file))

    assert refused.returncode == 1
    for path in ("clusters[0].services[0]", "services[0].task_version", "services[0].desire"):
        assert path in refused.stderr
    assert "fresh" not in {cluster["name"] for cluster in system.items("clusters", "ls")}


def test_a_command_gives_its_output_and_its_exit_code(system: System) -> None:
    done = system.schedctl("tasks", "run", "--wait", "--", "sh", "-c", "echo hi; exit 3")

    assert (done.stdout, done.returncode) == ("hi\n", 3)


def test_a_server_killed_by_hand_is_back_and_healthy(system: System) -> None:
    system.wait_instances_run()
    victim = system.server_processes()[0]

    victim.kill()

    def replaced() -> bool:
        servers = system.server_processes()
        return len(servers) == DEMO_INSTANCES and victim not in servers

    wait_until(replaced, 15, what="a new server process")
    system.wait_instances_run()


def test_a_topology_fired_by_hand_runs_at_once(system: System) -> None:
    name = system.items("topologies", "ls")[0]["name"]

    done = system.schedctl("topologies", "run", "--wait", name)

    assert done.returncode == 0, done.stderr


def test_a_host_started_by_hand_joins_and_receives_work(system: System) -> None:
    argv = [sys.executable, "-m", "celery", "-A", "scheduler_project", "worker", "-Q", "host-c"]
    with (system.data_dir / "host-c.log").open("wb") as log:
        agent = subprocess.Popen(argv, env=system.env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: "host-c" in {host["name"] for host in system.items("workers", "ls")}, 30, every_s=0.5)
        done = system.schedctl("tasks", "run", "--on", "host-c", "--wait", "--", "echo", "from c")
        assert (done.stdout, done.returncode) == ("from c\n", 0), done.stderr
    finally:
        agent.terminate()
        agent.wait(20)


@pytest.mark.parametrize(
    ("variables", "options", "told"),
    [
        ({"DATABASE_URL": "postgres://127.0.0.1:1/x"}, [], "DATABASE_URL"),
        ({"BROKER_URL": "redis://127.0.0.1:1/0"}, [], "BROKER_URL"),
        ({"SCHEDULER_DATA_DIR": "/proc/nowhere"}, [], "SCHEDULER_DATA_DIR"),
        ({}, ["--hosts", "nonsense"], "--hosts"),
    ],
)
def test_what_keeps_it_from_starting_is_told_in_one_line(
    tmp_path: Path, variables: dict[str, str], options: list[str], told: str
) -> None:
    env = clean_environment(**{"SCHEDULER_DATA_DIR": str(tmp_path / "data"), **variables})
    port = str(ports.choose(0, set()))

    done = subprocess.run(
        [sys.executable, "manage.py", "up", "--port", port, *options],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_machines_are_told_by_json_lines(system: System) -> None:
    kinds = [json.loads(line)["event"] for line in system.process.output.splitlines()]

    assert kinds.index("addresses") < kinds.index("ready")


def test_pictures_are_taken_of_quiet_pages_only(system: System, chromium: str, tmp_path: Path) -> None:
    argv = [sys.executable, "tools/screenshots", f"http://127.0.0.1:{system.port}", "--into", str(tmp_path)]

    taken = subprocess.run(argv, cwd=ROOT, env=system.env, capture_output=True, text=True, timeout=110, check=False)

    assert (taken.returncode, taken.stderr) == (0, "")
    assert {picture.name for picture in tmp_path.iterdir()} == PICTURES


def test_after_ctrl_c_nothing_is_left_and_a_second_start_finds_its_state(system: System) -> None:
    pids = {process.pid for process in system.processes()}
    used = {
        connection.laddr.port
        for process in system.processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }

    exit_code = system.stop()

    assert exit_code == 0
    assert system.processes() == []
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert all(ports.is_free(port) for port in used)
    system.start()
    wait_until(lambda: sum(event["event"] == "ready" for event in system.events()) == 2, 120, what="ready again")
    system.wait_instances_run()
    assert len(system.server_processes()) == DEMO_INSTANCES
