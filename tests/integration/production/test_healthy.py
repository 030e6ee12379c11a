"""`tools/healthy` tells a process that works from one that hangs, lost its broker or is gone."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Processes, clean_environment
from tests.support.servers import ValkeyServer, free_port


def healthy(*arguments: str, **variables: str) -> bool:
    environment = clean_environment(**variables)
    command = [str(ROOT / "tools/healthy"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False).returncode == 0


def test_a_file_touched_lately_is_a_process_at_work(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    alive.touch()
    assert healthy(SCHEDULER_ALIVE_FILE=str(alive))


@pytest.mark.parametrize("age_s", [25, 3600])
def test_a_file_grown_old_is_a_process_that_hangs(tmp_path: Path, age_s: int) -> None:
    alive = tmp_path / "alive"
    alive.touch()
    os.utime(alive, (alive.stat().st_mtime - age_s,) * 2)
    assert not healthy(SCHEDULER_ALIVE_FILE=str(alive))


def test_no_file_is_a_process_that_never_worked(tmp_path: Path) -> None:
    assert not healthy(SCHEDULER_ALIVE_FILE=str(tmp_path / "alive"))


def test_nobody_listening_is_not_healthy() -> None:
    assert not healthy(f"http://127.0.0.1:{free_port()}/healthz")


@pytest.mark.once
@pytest.mark.usefixtures("transactional_db")
def test_a_worker_touches_its_file_again_once_its_broker_is_back(
    processes: Processes, tmp_path: Path, database_url: str
) -> None:
    alive = tmp_path / "alive"
    broker = ValkeyServer()
    try:
        worker = processes.worker("control", broker.url, DATABASE_URL=database_url, SCHEDULER_ALIVE_FILE=str(alive))
        worker.wait_for(lambda: healthy(SCHEDULER_ALIVE_FILE=str(alive)))
        broker.kill()
        worker.wait_for_line("onnection to broker lost")
        touched_at = alive.stat().st_mtime
        broker.start()
        worker.wait_for(lambda: alive.stat().st_mtime > touched_at)
    finally:
        broker.close()
