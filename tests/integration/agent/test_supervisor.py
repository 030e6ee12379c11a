"""A supervisor without an agent: it goes on while something runs, and ends by itself afterwards."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.processes import Process, Processes, unmeasured_environment
from tests.support.wait import wait_until
from workers.agent.folders import Folder, Spec
from workers.agent.supervisor import SOCKET, socket_address

ALONE_MAX_S = 0.3
PROGRAM = (
    f"import sys; from workers.agent import supervisor; supervisor.ALONE_MAX_S = {ALONE_MAX_S}; "
    "sys.exit(supervisor.main())"
)


@pytest.fixture
def supervisor(tmp_path: Path, processes: Processes) -> Process:
    return processes.python("-c", PROGRAM, str(tmp_path), **measuring())


@pytest.fixture
def agent(tmp_path: Path, supervisor: Process) -> Iterator[socket.socket]:
    """An agent's end of the supervisor's socket."""
    supervisor.wait_for((tmp_path / SOCKET).exists, what="the supervisor's socket")
    directory = os.open(tmp_path, os.O_RDONLY)
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.connect(socket_address(directory))
        os.close(directory)
        yield connection


def measuring() -> dict[str, str]:
    """What has the lines of a child process counted, where this run measures coverage."""
    plain = unmeasured_environment()
    return {name: value for name, value in os.environ.items() if name not in plain}


def test_a_supervisor_that_nobody_needs_ends_and_leaves_no_socket(tmp_path: Path, supervisor: Process) -> None:
    assert supervisor.wait_ended(10) == 0
    assert not (tmp_path / SOCKET).exists()


def test_a_supervisor_stays_while_its_agent_is_connected(agent: socket.socket, supervisor: Process) -> None:
    agent.settimeout(4 * ALONE_MAX_S)
    with pytest.raises(TimeoutError):
        agent.recv(1)
    assert supervisor.alive


def test_a_supervisor_without_an_agent_stays_until_its_last_process_has_ended(
    tmp_path: Path, agent: socket.socket, supervisor: Process
) -> None:
    spec = Spec(unit="command/1", attempt=1, argv=["sleep", str(4 * ALONE_MAX_S)])
    agent.sendall(json.dumps({"op": "start", "id": "one", "spec": asdict(spec)}).encode() + b"\n")
    folder = Folder(tmp_path, "one")
    wait_until(lambda: folder.start() is not None, what="the command to start")
    agent.close()

    assert supervisor.wait_ended(10) == 0

    end = folder.end()
    assert end is not None
    assert end.exit_code == 0
