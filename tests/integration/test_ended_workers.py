"""Workers that cannot go on end by themselves, in order and as failed, so that their supervisor starts them afresh."""

import pytest

from tests.support.processes import Process, Processes
from tests.support.servers import EtcdServer, NatsServer, ValkeyServer
from tests.support.trust import any_token

SET_UP = "import django, scheduler_project.celery; django.setup()"
BREAK = """
import {module} as module

def broken(*_):
    raise RuntimeError("a fault of our own")

module.{method} = broken
from celery.__main__ import main
main()
"""


def start(processes: Processes, queue: str, module: str, method: str, **variables: str) -> Process:
    """A worker in which one method always fails."""
    set_up = "" if queue.startswith("host-") else SET_UP
    arguments = ("-A", "scheduler_project", "worker", "-Q", queue, "-l", "INFO")
    variables |= {"SCHEDULER_DATA_DIR": str(processes.folder), "SECRET_KEY": "tests-only"}
    return processes.python("-c", set_up + BREAK.format(module=module, method=method), *arguments, **variables)


def test_an_agent(processes: Processes, valkey_server: ValkeyServer) -> None:
    variables = {"BROKER_URL": valkey_server.url, "SCHEDULER_JOIN_TOKEN": any_token()}

    agent = start(processes, "host-broken", "workers.agent.reporter", "Reporter._attempt", **variables)

    assert agent.wait_ended(60) == 1
    assert "reporter.failed" in agent.output


@pytest.mark.once
def test_the_etcd_bridge(
    processes: Processes, valkey_server: ValkeyServer, etcd_server: EtcdServer, database_url: str
) -> None:
    variables = {"BROKER_URL": valkey_server.url, "DATABASE_URL": database_url, "ETCD_ENDPOINTS": etcd_server.url}

    bridge = start(processes, "etcd", "workers.bridge.term", "Term.step", **variables)

    assert bridge.wait_ended(60) == 1
    assert "etcd.bridge_failed" in bridge.output


@pytest.mark.once
def test_the_nats_bridge(
    processes: Processes, valkey_server: ValkeyServer, nats_server: NatsServer, database_url: str
) -> None:
    variables = {"BROKER_URL": valkey_server.url, "DATABASE_URL": database_url, "NATS_URI": nats_server.url}

    bridge = start(processes, "nats", "graphs.bridge.loop", "Bridge.handle", **variables)

    assert bridge.wait_ended(60) == 1
    assert "bridge.failed" in bridge.output
