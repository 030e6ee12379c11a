"""What an agent costs its host and its broker while there is nothing to do."""

import os
import time
from pathlib import Path

import psutil
import pytest

from tests.support.processes import Processes
from tests.support.servers import ValkeyServer
from tests.support.wait import wait_until
from workers.models import Worker

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]
SETTLE_S, MEASURED_S = 6.0, 15.0
MEMORY_MAX_MB, CPU_MAX, CONNECTIONS_MAX = 100, 0.005, 6


def cpu_s(family: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in family)


def test_an_idle_agent_is_small_quiet_and_holds_few_connections(
    processes: Processes,
    valkey_server: ValkeyServer,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
    processes.worker("control", valkey_server.url, DATABASE_URL=database_url)
    agent = psutil.Process(processes.worker("host-idle", valkey_server.url).pid)
    wait_until(Worker.objects.taking_work().filter(name="host-idle").exists, 30, what="the agent to join")
    time.sleep(SETTLE_S)  # what is measured is time itself

    family = [agent, *agent.children(recursive=True)]
    before, began_at = cpu_s(family), time.monotonic()
    time.sleep(MEASURED_S)
    used = (cpu_s(family) - before) / (time.monotonic() - began_at)
    memory_mb = sum(process.memory_info().rss for process in family) / 1_000_000
    connections = [one for one in agent.net_connections("tcp") if one.raddr and one.raddr.port == valkey_server.port]

    assert [process.name() for process in agent.children()], "its supervisor is measured with it"
    assert memory_mb <= MEMORY_MAX_MB
    assert used <= CPU_MAX
    assert len(connections) <= CONNECTIONS_MAX
    print(f"{memory_mb:.1f} MB, {used:.2%} of a core, {len(connections)} connections")  # noqa: T201
