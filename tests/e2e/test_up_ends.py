"""What is left when the system is told to stop: its state, and nothing else."""

import psutil
import pytest

from scheduler_project.up import ports
from tests.support.system import DEMO_INSTANCES, System
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(900)


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
