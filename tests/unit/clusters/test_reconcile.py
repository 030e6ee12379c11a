"""What is issued, stopped and given up, and why."""

from datetime import timedelta

import pytest

from clusters.core.document import Port
from clusters.core.snapshot import ServiceView, TaskView
from tests.support.cluster_world import World, definition_of, host_of, service_of


def two_hosts(**service: object) -> World:
    return World.of(host_of("host-a"), host_of("host-b"), services=(service_of(**service),))


def settled(**service: object) -> World:
    world = two_hosts(**service)
    world.settle()
    return world


def instances(tasks: list[TaskView]) -> list[int]:
    return sorted(task.instance for task in tasks)


def versions(world: World) -> list[int]:
    return sorted(task.version for task in world.running())


def healthy_through(world: World) -> tuple[int, int]:
    """The fewest healthy and the most issued tasks while everything goes well until rest."""
    fewest, most = len(world.running()), 0
    for _ in range(100):
        plan = world.reconcile()
        fewest = min(fewest, len(world.running()))
        most = max(most, len(world.in_state("issued", "starting", "running", "failing", "stopping")))
        if not (plan.issue or plan.stop) and not world.unsettled():
            return fewest, most
        world.agents_obey()
    raise AssertionError("never came to rest")


def test_missing_instances_are_issued_over_the_hosts() -> None:
    world = two_hosts()

    plan = world.reconcile()

    assert [(issue.instance, issue.host_name) for issue in plan.issue] == [(0, "host-a"), (1, "host-b"), (2, "host-a")]


def test_a_service_as_desired_is_left_alone() -> None:
    world = settled()

    plan = world.reconcile()

    assert (plan.issue, plan.stop, plan.lose, plan.leave) == ([], {}, {}, {})
    assert plan.verdicts[1].reason == ""
    assert plan.verdicts[1].look_again_at is None


def test_without_hosts_nothing_is_issued_and_the_reason_is_told() -> None:
    world = World.of()

    plan = world.reconcile()

    assert plan.issue == []
    assert plan.verdicts[1].reason == "3 of 3 tasks wait for a host (there is no host)"
    assert plan.verdicts[1].look_again_at is not None


def test_fault_1_tasks_of_a_disconnected_host_are_lost_and_issued_elsewhere_at_once() -> None:
    world = settled()
    world.change_host("host-a", connected=False)

    plan = world.reconcile()

    assert set(plan.lose.values()) == {"host-a is disconnected"}
    assert [(issue.instance, issue.host_name) for issue in plan.issue] == [(0, "host-b"), (2, "host-b")]


def test_fault_1_tasks_of_a_removed_host_are_issued_elsewhere() -> None:
    world = settled()
    lost = [task.id for task in world.running() if task.host == "host-b"]
    for task in lost:
        world.change(task, host=None)

    plan = world.reconcile()

    assert plan.lose == dict.fromkeys(lost, "its host was removed")
    assert len(plan.issue) == len(lost)


def test_fault_1_a_drained_host_is_emptied_without_going_below_min() -> None:
    world = settled()
    world.change_host("host-a", draining=True)

    fewest, most = healthy_through(world)

    assert {task.host for task in world.running()} == {"host-b"}
    assert instances(world.running()) == [0, 1, 2]
    assert fewest >= 2
    assert most <= 4


def test_a_task_leaves_a_draining_host_with_that_reason() -> None:
    world = settled()
    world.change_host("host-a", draining=True)

    plan = world.reconcile()

    assert set(plan.leave.values()) == {"host-a is draining"}


def test_with_all_hosts_draining_tasks_run_on_and_the_reason_is_told() -> None:
    world = settled()
    for name in ("host-a", "host-b"):
        world.change_host(name, draining=True)
    world.settle_or_wait()

    plan = world.reconcile()

    assert len(world.running()) == 3
    assert "host-a: draining; host-b: draining" in plan.verdicts[1].reason


def test_fault_2_a_rejected_task_is_issued_again_after_a_while_on_another_host() -> None:
    world = settled(desired=1, min=0, max=2)
    (task,) = world.running()
    world.reject(task.id, "port in use")

    at_once = world.reconcile()
    world.now += timedelta(seconds=1)
    later = world.reconcile()

    assert at_once.issue == []
    assert at_once.verdicts[1].reason == "1 of 1 tasks waits after a failure (port in use)"
    assert at_once.verdicts[1].look_again_at == world.now
    assert [(issue.instance, issue.failures) for issue in later.issue] == [(0, 1)]
    assert later.issue[0].host != task.host


def test_fault_2_waiting_doubles_with_each_failure_in_a_row() -> None:
    world = two_hosts(desired=1, min=0, max=1)
    waits = []
    for _ in range(8):
        world.reconcile()
        (task,) = world.in_state("issued")
        world.reject(task.id)
        ends = world.tasks[task.id].view.next_issue_at
        assert ends is not None
        waits.append((ends - world.now).total_seconds())
        world.now = ends

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_fault_3_an_upgrade_makes_progress_when_min_equals_desired() -> None:
    world = settled(min=3, max=4)
    world.upgrade(2)

    fewest, most = healthy_through(world)

    assert versions(world) == [2, 2, 2]
    assert (fewest, most) == (3, 4)


def test_fault_3_an_upgrade_replaces_one_at_a_time_when_min_desired_and_max_are_equal() -> None:
    world = settled(min=3, max=3)
    world.upgrade(2)

    fewest, most = healthy_through(world)

    assert versions(world) == [2, 2, 2]
    assert (fewest, most) == (2, 3)


@pytest.mark.parametrize(("least", "most"), [(2, 3), (1, 3), (0, 3), (2, 4), (0, 6)])
def test_fault_3_an_upgrade_keeps_min_and_max(least: int, most: int) -> None:
    world = settled(min=least, max=most)
    world.upgrade(2)

    seen_fewest, seen_most = healthy_through(world)

    assert versions(world) == [2, 2, 2]
    assert seen_fewest >= least
    assert seen_most <= most


def test_fault_3_an_upgrade_waits_for_the_new_version_to_run() -> None:
    world = settled(min=2, max=4)
    world.upgrade(2)
    for _ in range(10):
        world.reconcile()
        for task in world.in_state("issued"):
            world.change(task.id, state="failing")
        for task in world.in_state("stopping"):
            world.change(task.id, state="stopped")

    assert len(world.running()) == 2
    assert versions(world) == [1, 1]


def test_fault_3_a_rollback_brings_the_old_version_back() -> None:
    world = settled(min=2, max=4)
    world.upgrade(2)
    world.reconcile()
    world.agents_obey()
    world.upgrade(1)

    world.settle()

    assert versions(world) == [1, 1, 1]


def test_an_upgrade_with_fixed_ports_frees_a_host_for_each_new_task() -> None:
    old = definition_of(1, ports=[Port("http", fixed=80)])
    world = settled(desired=2, min=1, max=4, definition=old)
    world.change_service(definition_id=2, definition=definition_of(2, ports=[Port("http", fixed=80)]))

    fewest, _ = healthy_through(world)

    assert versions(world) == [2, 2]
    assert fewest == 1


def test_an_upgrade_that_fits_no_host_leaves_the_old_version_alone() -> None:
    world = settled()
    world.change_service(definition_id=2, definition=definition_of(2, memory_mb=500))
    for name in ("host-a", "host-b"):
        world.change_host(name, memory_mb=100)
    for _ in range(5):
        plan = world.reconcile()
        world.agents_obey()

    assert versions(world) == [1, 1, 1]
    assert "100 MB of memory free of 100, 500 needed" in plan.verdicts[1].reason


def test_fault_8_scaling_down_stops_the_highest_instances() -> None:
    world = settled(desired=3)
    world.change_service(desired=1, min=1)

    plan = world.reconcile()

    stopped = [world.tasks[task].view.instance for task in plan.stop]
    assert sorted(stopped) == [1, 2]
    assert set(plan.stop.values()) == {"scaled down to 1"}


def test_scaling_up_fills_the_gaps() -> None:
    world = settled(desired=3)
    gone = next(task for task in world.running() if task.instance == 1)
    world.change(gone.id, state="stopped")
    world.change_service(desired=4, max=5)

    plan = world.reconcile()

    assert sorted(issue.instance for issue in plan.issue) == [1, 3]


def test_fault_12_a_service_that_no_cluster_lists_is_stopped() -> None:
    world = settled()
    world.change_service(absent="no cluster lists the service")

    plan = world.reconcile()

    assert set(plan.stop.values()) == {"no cluster lists the service"}
    assert len(plan.stop) == 3
    assert plan.issue == []


def test_fault_13_a_service_that_cannot_run_does_not_hold_up_the_others() -> None:
    hungry = service_of(definition=definition_of(memory_mb=10**6))
    modest = service_of(id=2, name="api", definition=definition_of(name="api"))
    world = World.of(host_of("host-a", memory_mb=1000), services=(hungry, modest))

    plan = world.reconcile()

    assert {issue.service for issue in plan.issue} == {2}
    assert "MB of memory" in plan.verdicts[1].reason


def test_fault_13_services_whose_names_begin_alike_are_kept_apart() -> None:
    world = World.of(host_of("host-a"), services=(service_of(), service_of(id=2, name="web2")))
    world.settle()
    world.change_service(1, desired=0, min=0)

    plan = world.reconcile()

    assert {world.tasks[task].view.service for task in plan.stop} == {1}


def test_fault_9_a_stopping_task_keeps_its_port_until_it_has_stopped() -> None:
    world = World.of(host_of("host-a", "31000-31000"), services=(service_of(desired=1, min=0, max=2),))
    world.settle()
    (task,) = world.running()
    world.change(task.id, state="stopping")

    before = world.reconcile()
    world.change(task.id, state="stopped")
    after = world.reconcile()

    assert before.issue == []
    assert before.verdicts[1].reason == "1 of 1 tasks waits for a host (host-a: no port left in its pool)"
    assert [issue.ports for issue in after.issue] == [{"PROVIDED_PORT": 31000}]


def test_max_also_counts_tasks_that_are_still_stopping() -> None:
    world = settled(desired=3, min=0, max=3)
    for task in world.running():
        world.change(task.id, state="stopping")

    plan = world.reconcile()

    assert plan.issue == []
    assert plan.verdicts[1].look_again_at is not None


def test_a_failed_instance_that_is_no_longer_wanted_is_forgotten() -> None:
    world = settled(desired=3)
    task = next(one for one in world.running() if one.instance == 2)
    world.reject(task.id)
    world.change_service(desired=2)

    plan = world.reconcile()

    assert plan.forget == [task.id]
    assert plan.verdicts[1].reason == ""


def test_several_services_of_one_decision_see_each_others_ports() -> None:
    services: tuple[ServiceView, ...] = tuple(
        service_of(id=number, name=f"s{number}", desired=2, min=0, max=2) for number in range(1, 4)
    )
    world = World.of(host_of("host-a", "31000-31005"), services=services)

    plan = world.reconcile()

    assert sorted(port for issue in plan.issue for port in issue.ports.values()) == list(range(31000, 31006))


def test_one_decision_issues_a_bounded_number_of_tasks_and_the_next_goes_on_at_once() -> None:
    service = service_of(definition=definition_of(ports=[]), desired=5000, min=0, max=5000)
    world = World.of(host_of("host-a"), services=(service,))

    plans = []
    for _ in range(3):
        plans.append(world.reconcile())

    assert [len(plan.issue) for plan in plans] == [2000, 2000, 1000]
    assert plans[0].verdicts[1].reason == "3000 of 5000 tasks wait for the next decision"
    assert [plan.verdicts[1].look_again_at for plan in plans] == [world.now, world.now, None]
