"""A worker that is stuck ends, so that it is started anew; one that waits for its broker does not."""

from pathlib import Path

import pytest

from scheduler_project.watchdog import EXIT_STUCK, STUCK_AFTER_MIN_S
from tests.support.processes import Process, Processes
from tests.support.servers import ValkeyServer

LIMIT = str(STUCK_AFTER_MIN_S)


def start(processes: Processes, app: str, broker_url: str, folder: Path) -> Process:
    return processes.python(
        "-m", "celery", "-A", app, "worker", "-Q", "control", "-l", "INFO",
        BROKER_URL=broker_url, SECRET_KEY="tests-only", SCHEDULER_DATA_DIR=str(folder), SCHEDULER_STUCK_AFTER_S=LIMIT,
    )  # fmt: skip


def test_a_worker_that_is_stuck_while_its_broker_answers_ends_as_failed(
    processes: Processes, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    worker = start(processes, "tests.support.stuck", valkey_server.url, tmp_path)

    assert worker.wait_ended(30) == EXIT_STUCK
    assert "worker.stuck" in worker.output


@pytest.mark.timeout(120)
def test_a_worker_that_works_or_waits_for_its_broker_is_left_alone(
    processes: Processes, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    worker = start(processes, "scheduler_project", valkey_server.url, tmp_path)
    worker.wait_for_line(" ready.", timeout_s=60)
    valkey_server.stop()
    try:
        worker.wait_for_line("Trying again in 8.00 seconds", timeout_s=60)
    finally:
        valkey_server.start()
    assert worker.alive
    assert "worker.stuck" not in worker.output
