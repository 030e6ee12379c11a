"""Files of every form that consul-scheduler ever had: accepted as they are, and run as they were meant."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.core import reconcile
from clusters.core.desired import Known, plan, read
from clusters.core.document import Cluster, Service, TaskDefinition
from clusters.core.placement import Host
from clusters.core.snapshot import Issue, ServiceView, Snapshot
from scheduler_project.toolkit.changes import Change
from tests.support.cluster_world import NOON, host_of

FILES = Path(__file__).parent / "files"
BOTH = frozenset({"bash", "docker"})


def changes_of(name: str) -> list[Change]:
    document: dict[str, Any] = yaml.safe_load((FILES / name).read_text())
    return plan(read(document), Known())


def issued(name: str, hosts: list[Host]) -> list[tuple[str, Issue]]:
    """The tasks that the first decision issues for a file, by their readable names."""
    values = [change.value for change in changes_of(name)]
    definitions = {(one.name, one.version): one for one in values if isinstance(one, TaskDefinition)}
    wanted = {one.name: one for one in values if isinstance(one, Service)}
    (cluster,) = (one for one in values if isinstance(one, Cluster))
    views = []
    for number, service in enumerate(wanted[listed] for listed in cluster.services):
        definition = definitions[service.task_name, service.task_version]
        views.append(
            ServiceView(number, service.name, 1, definition, service.desired, service.min, service.max, "spread")
        )
    found = reconcile.decide(Snapshot(views, [], hosts, []), NOON).issue
    names = {view.id: f"{cluster.name}-{view.name}-{view.definition.version}" for view in views}
    return [(f"{names[issue.service]}-{issue.instance}", issue) for issue in found]


def hosts(count: int, ports: str = "31000-31999") -> list[Host]:
    return [host_of(f"h{number:03}", ports, executors=BOTH) for number in range(count)]


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.iterdir()))
def test_every_form_is_accepted_unmodified(name: str) -> None:
    assert [change for change in changes_of(name) if change.faults] == []


def test_the_oldest_hello_issues_nothing_without_hosts() -> None:
    assert issued("oldest-hello.yml", []) == []


def test_the_oldest_hello_issues_four_tasks_on_the_first_ports() -> None:
    tasks = issued("oldest-hello.yml", hosts(1, "1000-1007"))

    assert [name for name, _ in tasks] == [f"default-helloworld-2-{number}" for number in range(4)]
    assert [task.ports["PROVIDED_PORT"] for _, task in tasks] == [1000, 1001, 1002, 1003]


@pytest.mark.parametrize("name", ["middle-hello.yml", "newest-hello.yml"])
def test_the_later_hellos_issue_seven_tasks(name: str) -> None:
    tasks = issued(name, hosts(2))

    assert [task for task, _ in tasks] == [f"default-helloworld-4-{number}" for number in range(7)]


def test_the_complex_file_issues_all_its_tasks_and_no_port_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "ISSUES_MAX", 10_000)
    tasks = issued("complex.yml", hosts(25))

    assert len(tasks) == 2004
    assert len({(task.host, port) for _, task in tasks for port in task.ports.values()}) == 2004


def test_a_fixed_port_puts_one_task_on_each_host() -> None:
    tasks = issued("nginx.yml", hosts(7))

    assert len(tasks) == 5
    assert len({task.host for _, task in tasks}) == 5


def test_a_service_in_no_cluster_is_kept_but_not_run() -> None:
    assert [name for name, _ in issued("bash.yml", hosts(1))] == ["default-bashing-service-2-0"]


def test_the_tour_runs_three_and_one_on_its_fixed_port() -> None:
    tasks = dict(issued("tour.yml", hosts(1)))

    assert sorted(tasks) == [*(f"default-helloworld-1-{number}" for number in range(3)), "default-lb-1-0"]
    assert tasks["default-lb-1-0"].ports["PROVIDED_PORT"] == 9999
