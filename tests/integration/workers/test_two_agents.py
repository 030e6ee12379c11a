"""Two real agents with one name behind a real broker and a real control worker."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.support.processes import Process, Processes
from tests.support.servers import ValkeyServer
from tests.support.wait import wait_until
from workers.models import Worker

pytestmark = pytest.mark.django_db(transaction=True)
HOST = "host-twice"
NOT_COPIED = shutil.ignore_patterns("supervisor*", "agent.lock")


def agent(processes: Processes, broker_url: str, folder: Path) -> Process:
    return processes.worker(HOST, broker_url, SCHEDULER_DATA_DIR=str(folder), SCHEDULER_HEARTBEAT_INTERVAL_S="0.5")


@pytest.mark.once
def test_one_that_was_frozen_while_a_copy_of_it_was_started_says_why_and_ends(
    database_url: str, processes: Processes, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    valkey_server.flush()
    processes.worker("control", valkey_server.url, DATABASE_URL=database_url)
    older = agent(processes, valkey_server.url, tmp_path / "older")
    wait_until(Worker.objects.connected().exists, 30, what="the older to join")
    fence = Worker.objects.get().fence

    older.popen.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    shutil.copytree(tmp_path / "older", tmp_path / "newer", ignore=NOT_COPIED)
    newer = agent(processes, valkey_server.url, tmp_path / "newer")
    wait_until(lambda: Worker.objects.get().fence > fence, 30, what="the newer to hold the name")
    older.popen.send_signal(signal.SIGCONT)  # type: ignore[union-attr]

    assert older.wait_ended(30) == 1
    assert len([line for line in older.output.splitlines() if "agent.superseded" in line]) == 1
    assert "Traceback" not in older.output
    assert newer.alive
    assert Worker.objects.get().state == "connected"
