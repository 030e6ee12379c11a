"""`celery -A scheduler_project worker -Q host-…` as a host agent: a real worker on a real broker, and no database."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Process, Processes
from tests.support.servers import RabbitServer, Server, ValkeyServer, free_port
from tests.support.wait import wait_until
from tests.support.wire import HOST, Wire, start_agent
from workers.protocol import (
    Check,
    Container,
    KeepTask,
    RunCommand,
    Started,
    TaskState,
)


@pytest.fixture
def broker(valkey_server: ValkeyServer) -> Server:
    return valkey_server


@pytest.fixture
def wire(broker: Server) -> Iterator[Wire]:
    wire = Wire(broker.url)
    yield wire
    wire.close()


@pytest.fixture
def agent(processes: Processes, broker: Server, wire: Wire, tmp_path: Path) -> Process:
    """An agent that has only the broker and has enrolled; `wire` listens from before its first word."""
    started = start_agent(processes, broker.url, tmp_path)
    wire.meet()
    started.wait_for_line("agent.enrolled")
    return started


def supervisor_pid(folder: Path) -> int:
    file = folder / "data" / "agents" / HOST / "supervisor.pid"
    return int(wait_until(lambda: file.read_text().strip() if file.exists() else "", what="a supervisor"))


def server(port: int) -> KeepTask:
    """A task that is an HTTP server with a check."""
    start = 'exec python3 -m http.server "$PROVIDED_PORT" --bind 127.0.0.1 --directory /tmp'
    return KeepTask(
        unit="task/web",
        attempt=1,
        containers=[Container(name="web", executor="bash", options={"start": [start]})],
        ports={"PROVIDED_PORT": port},
        checks=[Check(id="http", http=f"http://127.0.0.1:{port}/", interval_s=1)],
    )


def test_an_agent_runs_commands_and_tasks_without_a_database(agent: Process, wire: Wire) -> None:
    wire.order(RunCommand(unit="command/1", attempt=1, argv=["sh", "-c", "exit 7"]), server(free_port()))
    assert wire.ended("command/1").exit_code == 7
    assert wire.state("task/web", "running").pid > 0
    assert wire.heartbeats[0].labels == {"zone": "a"}
    assert wire.heartbeats[0].address == "127.0.0.1"
    assert "superuser" not in agent.output


def test_the_same_on_rabbitmq(processes: Processes, rabbitmq_server: RabbitServer, tmp_path: Path) -> None:
    wire = Wire(rabbitmq_server.url)
    start_agent(processes, rabbitmq_server.url, tmp_path)
    wire.order(RunCommand(unit="command/1", attempt=1, argv=["sh", "-c", "exit 7"]))
    assert wire.ended("command/1").exit_code == 7
    wire.close()


def test_an_agent_never_loads_django() -> None:
    """Kombu itself looks into `django.utils`; neither settings nor a database come with that."""
    program = (
        "import sys; sys.argv = ['celery', '-A', 'scheduler_project', 'worker', '-Q', 'host-a'];"
        "from scheduler_project.celery import app; app.loader.import_default_modules();"
        "assert 'workers.agent.receive' in app.tasks; assert not {'django.conf', 'django.db'} & set(sys.modules)"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", program]) == 0


def test_a_killed_agent_leaves_its_processes_running_and_finds_them_again(
    agent: Process, processes: Processes, broker: Server, wire: Wire, tmp_path: Path
) -> None:
    marker = tmp_path / "go"
    wait = f"while [ ! -e {marker} ]; do sleep 0.1; done; exit 5"
    wire.order(RunCommand(unit="command/1", attempt=1, argv=["sh", "-c", wait]), server(free_port()))
    pid = wire.state("task/web", "running").pid
    wait_until(lambda: wire.of(Started, "command/1"))
    agent.kill()
    marker.touch()
    start_agent(processes, broker.url, tmp_path)
    assert wire.ended("command/1").exit_code == 5
    assert wire.of(TaskState, "task/web")[-1].pid == pid
    os.kill(pid, 0)


def test_a_stopped_agent_says_goodbye(agent: Process, wire: Wire) -> None:
    agent.stop()
    assert agent.popen is not None
    assert agent.popen.returncode == 0
    wire.read()
    assert wire.heartbeats[-1].stopping


def test_an_unreadable_envelope_is_dropped_with_the_reason(agent: Process, wire: Wire) -> None:
    wire.send("{")
    agent.wait_for_line("orders.refused host=host-w reason=unreadable")
    wire.order(RunCommand(unit="command/1", attempt=1, argv=["true"]))
    assert wire.ended("command/1").exit_code == 0


def test_an_agent_outlives_its_broker(processes: Processes, tmp_path: Path) -> None:
    own = ValkeyServer()
    start_agent(processes, own.url, tmp_path)
    wire = Wire(own.url)
    done = tmp_path / "done"
    wire.order(RunCommand(unit="command/1", attempt=1, argv=["sh", "-c", f"sleep 1; touch {done}"]))
    wait_until(lambda: wire.of(Started, "command/1"))
    wire.close()
    own.kill()
    wait_until(done.exists)
    own.start()
    wire = Wire(own.url)
    assert wire.ended("command/1").exit_code == 0
    wire.close()
    processes.stop_all()
    own.close()


def test_wrong_settings_end_the_agent_with_one_clear_line(processes: Processes, broker: Server, tmp_path: Path) -> None:
    agent = processes.celery(
        "worker", "-Q", HOST, BROKER_URL=broker.url, SCHEDULER_DATA_DIR=str(tmp_path), SCHEDULER_SLOTS="none"
    )
    assert agent.wait_ended() == 1
    assert "SCHEDULER_SLOTS='none' is not a whole number above 0" in agent.output
    assert "Traceback" not in agent.output


def test_an_idle_agent_is_lean(agent: Process, tmp_path: Path) -> None:
    pids = [agent.pid, supervisor_pid(tmp_path)]
    resident_kb = [
        int(line.split()[1])
        for pid in pids
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    assert sum(resident_kb) < 100 * 1024
