"""Several control workers decide at the same moment: no instance is issued twice, no port is given twice."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection

from clusters.models import Task
from clusters.tasks import tick
from workers.testing import FakeAgents

from .conftest import System, document

WORKERS = 4


@pytest.fixture
def system(transactional_db: None) -> Iterator[System]:
    with FakeAgents() as agents:
        yield System(agents)


def test_fault_5_deciding_at_once_issues_every_instance_once(system: System) -> None:
    system.connect("host-a", "host-b", "host-c")
    first, second = document(desired=20, max=20), document(name="api", desired=20, max=20)
    second["clusters"] = [{"name": "demo", "services": ["web", "api"]}]
    second["services"] += first["services"]
    system.apply(second)
    together = Barrier(WORKERS)

    def decide(number: int) -> None:
        try:
            together.wait(timeout=10)
            tick(system.now + timedelta(milliseconds=number))
        finally:
            connection.close()

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(decide, range(WORKERS)))

    tasks = Task.objects.all()
    instances = Counter((task.service_id, task.instance) for task in tasks)
    ports = Counter((task.host_id, *task.ports.values()) for task in tasks)
    assert len(instances) == 40
    assert set(instances.values()) == {1}
    assert set(ports.values()) == {1}
