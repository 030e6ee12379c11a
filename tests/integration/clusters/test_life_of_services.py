"""Services from a file to running tasks, through losses, drains, upgrades and removal."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from clusters import store
from clusters.models import Cluster, Service, Task
from clusters.tasks import tick
from scheduler_project.models import Event
from workers import store as workers_store
from workers.models import Worker
from workers.protocol import QueryUnits

from .conftest import System, counts, definition, document, placed


@pytest.fixture
def running(system: System) -> System:
    """Three tasks of `web` running on two hosts."""
    system.connect("host-a", "host-b")
    system.apply(document())
    system.ticks(2)
    assert counts() == (3, 3)
    return system


def test_an_applied_service_runs_on_the_hosts_with_a_port_each(running: System) -> None:
    tasks = Task.objects.select_related("host").order_by("instance")

    assert placed() == [(0, "host-a", "running"), (1, "host-b", "running"), (2, "host-a", "running")]
    assert [task.ports["PROVIDED_PORT"] for task in tasks] == [31000, 31020, 31001]
    assert [task.name for task in tasks] == ["demo-web-1-0", "demo-web-1-1", "demo-web-1-2"]
    assert len(running.orders()) == 3


def test_each_step_of_a_task_is_an_event(running: System) -> None:
    task = Task.objects.get(instance=0)

    events = Event.objects.filter(subject=f"task:{task.id}").values_list("name", flat=True)

    assert list(events) == ["task.issued", "task.running"]


def test_a_service_at_rest_costs_no_writes_and_few_reads(running: System, django_assert_num_queries: Any) -> None:
    running.ticks(3)

    with django_assert_num_queries(7):
        tick(running.now)


def test_a_decision_takes_the_same_number_of_queries_for_few_tasks_and_for_many(
    system: System,
) -> None:
    system.connect("host-a", "host-b", "host-c")
    seen = []
    for desired in (1, 3, 40):
        system.apply(document(desired=desired, min=0, max=60))
        with CaptureQueriesContext(connection) as captured:
            tick(system.now)
        seen.append(len(captured))
        system.agents.settle(system.now)

    assert seen[1] == seen[2]


def test_tasks_of_a_lost_host_are_issued_elsewhere(running: System) -> None:
    running.agents.lose("host-a")

    running.ticks(15)

    assert placed() == [(0, "host-b", "running"), (1, "host-b", "running"), (2, "host-b", "running")]
    assert set(Task.objects.filter(state="lost").values_list("reason", flat=True)) == {"host-a is disconnected"}


def test_fault_4_a_host_that_comes_back_is_told_to_stop_what_was_issued_elsewhere(running: System) -> None:
    running.agents.lose("host-a")
    running.ticks(15)

    running.connect("host-a")
    running.ticks(2)

    lost = Task.objects.filter(state="lost")
    told = {order.unit for host, order in running.stops() if host == "host-a"}
    assert told == {task.unit for task in lost}
    assert set(lost.values_list("resend_at", flat=True)) == {None}
    assert counts() == (3, 3)


def test_a_drained_host_is_emptied(running: System) -> None:
    workers_store.set_draining("host-a", True, running.now, actor="tester")

    running.ticks(8)

    assert placed() == [(0, "host-b", "running"), (1, "host-b", "running"), (2, "host-b", "running")]


def test_a_removed_hosts_tasks_are_issued_elsewhere(running: System) -> None:
    running.agents.lose("host-a")
    Worker.objects.filter(name="host-a").delete()

    running.ticks(3)

    assert {host for _, host, _ in placed()} == {"host-b"}
    assert counts() == (3, 3)


def test_an_order_that_was_lost_on_the_way_is_sent_again(system: System) -> None:
    system.connect("host-a")
    system.apply(document(desired=1, min=0))
    with TestCase.captureOnCommitCallbacks(execute=False):
        tick(system.now)
    assert counts() == (1, 0)

    system.ticks(7)

    assert counts() == (1, 1)


def test_an_agent_that_restarted_is_asked_about_its_tasks(running: System) -> None:
    running.agents.agents["host-a"].journal.clear()
    running.connect("host-a")

    running.ticks(3)

    assert [host for host, _ in running.orders(QueryUnits)] == ["host-a", "host-a"]
    assert set(Task.objects.filter(state="lost").values_list("reason", flat=True)) == {
        "the agent does not know it any more"
    }
    assert counts() == (3, 3)


def test_a_restarted_agent_that_kept_its_journal_keeps_its_tasks(running: System) -> None:
    before = set(Task.objects.values_list("id", flat=True))
    running.connect("host-a")

    running.ticks(8)

    assert set(Task.objects.live().values_list("id", flat=True)) == before
    assert counts() == (3, 3)


def test_a_rejected_task_is_issued_again_after_a_while_on_another_host(system: System) -> None:
    system.connect("host-a", "host-b")
    system.agents.keep = lambda order: (
        ("starting", "rejected") if order.ports["PROVIDED_PORT"] < 31020 else ("running",)
    )
    system.apply(document(desired=1, min=0))

    system.ticks(3)

    assert placed() == [(0, "host-b", "running")]
    assert Task.objects.filter(state="rejected").count() == 1


def test_an_upgrade_replaces_every_task_and_keeps_min(running: System) -> None:
    running.apply(document(task_version=2))
    fewest = 3
    for _ in range(12):
        running.tick()
        fewest = min(fewest, counts()[1])

    versions = Task.objects.live().values_list("definition__version", flat=True)
    assert set(versions) == {2}
    assert counts() == (3, 3)
    assert fewest >= 2


def test_scaling_takes_min_and_max_along(running: System) -> None:
    store.scale("web", 5, running.now, "tester")
    running.ticks(2)
    up = counts()
    store.scale("web", 1, running.now, "tester")
    running.ticks(3)

    service = Service.objects.get()
    assert up == (5, 5)
    assert counts() == (1, 1)
    assert (service.min, service.desired, service.max) == (1, 1, 5)


def test_a_stopped_task_is_issued_again(running: System) -> None:
    task = Task.objects.get(instance=1)

    with TestCase.captureOnCommitCallbacks(execute=True):
        store.stop_task(task.id, "stopped by tester", running.now, "tester")
    running.ticks(3)

    assert Task.objects.get(pk=task.pk).state == "stopped"
    assert counts() == (3, 3)


def test_a_service_taken_off_its_clusters_list_is_stopped_and_kept(running: System) -> None:
    running.apply({"clusters": [{"name": "demo", "services": []}]})

    running.ticks(3)

    assert counts() == (0, 0)
    assert Service.objects.get().reason == "no cluster lists the service"


def test_a_removed_cluster_is_gone_once_its_tasks_have_stopped(running: System) -> None:
    store.remove_cluster("demo", running.now, "tester")

    running.ticks(4)

    assert not Cluster.objects.exists()
    assert not Service.objects.exists()
    assert {order.unit for _, order in running.stops()} == {order.unit for _, order in running.orders()}


def test_a_removed_cluster_may_be_applied_again_at_once(running: System) -> None:
    store.remove_cluster("demo", running.now, "tester")
    running.tick()
    outcome = running.apply(document())

    running.ticks(4)

    assert [change.action for change in outcome.changes] == ["unchanged", "created", "created"]
    assert counts() == (3, 3)


def test_a_host_that_keeps_an_unknown_task_is_told_to_stop_it(running: System) -> None:
    unit = Task.objects.get(instance=1).unit
    Task.objects.filter(instance=1).delete()

    agent = running.agents.agents["host-b"]
    agent.repeat((unit, 1), 0)
    running.tick()

    assert (unit, "it is not known any more") in {(order.unit, order.reason) for _, order in running.stops()}


def test_ended_tasks_are_forgotten_after_a_week(running: System) -> None:
    store.scale("web", 1, running.now, "tester")
    running.ticks(3)
    assert Task.objects.filter(state="stopped").count() == 2

    running.tick(8 * 24 * 3600)
    running.connect("host-a", "host-b")
    running.ticks(3)

    assert not Task.objects.filter(state="stopped").exists()


def test_fault_5_the_database_refuses_a_second_live_task_of_an_instance(running: System) -> None:
    task = Task.objects.get(instance=0)
    task.pk = "another"

    with pytest.raises(IntegrityError), transaction.atomic():
        task.save(force_insert=True)


def test_a_second_apply_writes_nothing_and_restarts_nothing(running: System) -> None:
    orders, events = len(running.agents.published), Event.objects.count()

    outcome = running.apply(document())
    running.ticks(3)

    assert {change.action for change in outcome.changes} == {"unchanged"}
    assert len(running.agents.published) == orders
    assert Event.objects.count() == events


def test_a_docker_service_waits_with_its_reason(system: System) -> None:
    system.connect("host-a")
    container = {"name": "main", "type": "docker", "executor": {"image": "hello"}}
    system.apply(document() | {"tasks": [definition(containers=[container])]})

    system.ticks(2)

    assert Service.objects.get().reason == "3 of 3 tasks wait for a host (host-a: no executor docker)"
