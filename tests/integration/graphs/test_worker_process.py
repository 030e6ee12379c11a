"""The bridge as a real Celery worker beside a control worker: killed in the middle, the graph completes."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from graphs import store
from graphs.models import Component, Graph
from tests.support.processes import Processes
from tests.support.wait import wait_until
from workers.links.nats import NatsLink

EXAMPLE = Path(__file__).parents[3] / "examples" / "graph.json"


@pytest.mark.timeout(120)
def test_a_bridge_that_is_killed_and_started_again_completes_the_graph(
    database_url: str, valkey_server: Any, nats_server: Any, processes: Processes
) -> None:
    outsider = NatsLink(nats_server.url, ["build.*.done"], uuid.uuid4().hex, "outsider")
    outsider.start()
    outsider.wait_connected(10)
    variables = {"DATABASE_URL": database_url, "NATS_URI": nats_server.url, "SCHEDULER_GRAPH_RESEND_S": "2"}
    processes.python("examples/demo_connector.py", NATS_URI=nats_server.url, DEMO_DELAY_S="0.3")
    processes.worker("control", valkey_server.url, **variables)
    bridge = processes.worker("nats", valkey_server.url, **variables)
    beat = ("beat", "-l", "INFO", "-s", str(processes.folder / "beat"))
    processes.celery(*beat, BROKER_URL=valkey_server.url, SECRET_KEY="x" * 50, **variables)
    document = json.loads(EXAMPLE.read_bytes())
    for change in document["changes"]:
        change["_timeout_s"] = 2
    graph = store.submit(document, timezone.now(), source="http")
    wait_until(lambda: Component.objects.filter(state="running").exists(), 30, what="a component to run")
    bridge.kill()
    processes.worker("nats", valkey_server.url, **variables)

    wait_until(lambda: Graph.objects.get(pk=graph.pk).state == "completed", 60, what="the graph's end")
    ends = wait_until(lambda: outsider.take(1, 0.1), what="the announcement")
    assert json.loads(ends[0].data)["id"] == graph.pk
    outsider.stop()
