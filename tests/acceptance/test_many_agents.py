"""Many agents at once over real processes: one that falls silent is noticed in time, and no other is blamed for it."""

from contextlib import closing

import pytest

from benchmarks.agents import SimulatedAgents
from tests.support.fleet import fleet
from tests.support.processes import Processes
from tests.support.servers import ValkeyServer
from tests.support.trust import enrolled
from tests.support.wait import wait_until
from workers.models import Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]
AGENTS = 50
SILENT = 7
INTERVAL_S = 0.5
SILENCE_S = 2.0
NOTICED_WITHIN_S = 2.0


def test_a_silent_agent_of_many_is_disconnected_within_its_silence_and_two_seconds(
    database_url: str, processes: Processes, valkey_server: ValkeyServer
) -> None:
    for number in range(AGENTS):
        enrolled(f"host-{number}", f"simulated-{number}")
    with fleet(processes, valkey_server, database_url) as system:
        system.start_control(SCHEDULER_SILENCE_TIMEOUT_S=str(SILENCE_S))
        system.start_clock()
        agents = SimulatedAgents(AGENTS, valkey_server.url, INTERVAL_S)
        with closing(agents):
            agents.start()
            connected = Worker.objects.connected()
            wait_until(lambda: connected.count() == AGENTS, 30, what="all agents to be connected")

            agents.silence(SILENT)

            others = connected.exclude(name=f"host-{SILENT}")
            gone = Worker.objects.filter(name=f"host-{SILENT}", state="disconnected")
            worker = wait_until(gone.first, 10, what="the silent one to be disconnected")
            still_there = others.count()

    silence_s = (worker.changed_at - worker.last_seen_at).total_seconds()
    assert SILENCE_S <= silence_s <= SILENCE_S + NOTICED_WITHIN_S
    assert still_there == AGENTS - 1
