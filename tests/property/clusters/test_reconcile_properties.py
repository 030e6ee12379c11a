"""Whatever hosts and tasks do, decisions keep their promises, and bring services to rest once faults stop."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clusters.core.snapshot import Plan, ServiceView, TaskView
from clusters.core.states import LIVE, UNFINISHED
from tests.support.cluster_world import World, definition_of, host_of, service_of

HOSTS = ["host-a", "host-b", "host-c"]
NUMBERS = st.integers(0, 30)


class Cluster(RuleBasedStateMachine):
    """Two services on three hosts, with everything that may happen to them in any order."""

    @initialize(desired=st.integers(0, 4), below=st.integers(0, 4), above=st.integers(0, 2))
    def begin(self, desired: int, below: int, above: int) -> None:
        web = service_of(desired=desired, min=max(desired - below, 0), max=max(desired + above, 1))
        api = service_of(id=2, name="api", definition=definition_of(1, "api"), desired=2, min=2, max=2)
        self.world = World.of(*(host_of(name, "31000-31011") for name in HOSTS), services=(web, api))

    def pick(self, number: int, *states: str) -> TaskView | None:
        found = self.world.in_state(*states)
        return found[number % len(found)] if found else None

    @rule()
    def reconcile(self) -> None:
        before = self.world.snapshot()
        plan = self.world.reconcile()
        for service in self.world.services.values():
            tasks = [task for task in before.tasks if task.service == service.id and task.id not in plan.lose]
            if not service.absent:
                self.check_limits(service, tasks, plan)

    def check_limits(self, service: ServiceView, tasks: list[TaskView], plan: Plan) -> None:
        present = [task for task in tasks if task.state in UNFINISHED]
        issued = [issue for issue in plan.issue if issue.service == service.id]
        assert not issued or len(present) + len(issued) <= service.max
        healthy = [task for task in present if task.state == "running"]
        surplus = [task for task in healthy if plan.stop.get(task.id, "").startswith("scaled down")]
        replaced = [task for task in healthy if task.id in plan.stop and task not in surplus]
        if replaced:
            before = len(healthy) - len(surplus)
            staying_well = all(task.state == "running" for task in present if self.stays(task, service))
            one_at_a_time = len(replaced) == 1 and before == service.min and not issued and staying_well
            assert before - len(replaced) >= service.min or one_at_a_time

    def stays(self, task: TaskView, service: ServiceView) -> bool:
        wanted = task.definition_id == service.definition_id and task.instance < service.desired
        return wanted and task.state != "stopping" and not self.world.tasks[task.id].view.leaving

    @rule()
    def all_goes_well_for_a_while(self) -> None:
        for _ in range(3):
            self.reconcile()
            self.world.agents_obey()

    @rule(number=NUMBERS)
    def a_task_runs(self, number: int) -> None:
        task = self.pick(number, "issued", "starting", "failing")
        if task:
            self.world.change(task.id, state="running", failures=0, avoid=())

    @rule(number=NUMBERS, state=st.sampled_from(["starting", "failing"]))
    def a_task_is_unwell(self, number: int, state: str) -> None:
        task = self.pick(number, *LIVE)
        if task:
            self.world.change(task.id, state=state)

    @rule(number=NUMBERS)
    def a_task_is_rejected(self, number: int) -> None:
        task = self.pick(number, *LIVE)
        if task:
            self.world.reject(task.id)

    @rule(number=NUMBERS)
    def a_task_has_stopped(self, number: int) -> None:
        task = self.pick(number, "stopping")
        if task:
            self.world.change(task.id, state="stopped")

    @rule(number=NUMBERS)
    def an_operator_stops_a_task(self, number: int) -> None:
        task = self.pick(number, *LIVE)
        if task:
            self.world.change(task.id, state="stopping")

    @rule(name=st.sampled_from(HOSTS), connected=st.booleans())
    def a_host_goes_or_comes(self, name: str, connected: bool) -> None:
        self.world.change_host(name, connected=connected)

    @rule(name=st.sampled_from(HOSTS), draining=st.booleans())
    def a_host_is_drained_or_not(self, name: str, draining: bool) -> None:
        self.world.change_host(name, draining=draining)

    @rule(version=st.integers(1, 3))
    def the_service_is_upgraded_or_rolled_back(self, version: int) -> None:
        self.world.upgrade(version)

    @rule(desired=st.integers(0, 4), below=st.integers(0, 2), above=st.integers(0, 2))
    def the_service_is_scaled(self, desired: int, below: int, above: int) -> None:
        self.world.change_service(desired=desired, min=max(desired - below, 0), max=max(desired + above, 1))

    @rule(absent=st.sampled_from(["", "no cluster lists the service"]))
    def the_service_is_taken_off_the_list_or_put_back(self, absent: str) -> None:
        self.world.change_service(2, absent=absent)

    @rule(seconds=st.integers(1, 70))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def an_instance_has_one_task_that_stays(self) -> None:
        staying = [
            (task.service, task.definition_id, task.instance) for task in self.world.in_state(*LIVE) if not task.leaving
        ]
        assert len(staying) == len(set(staying))

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def a_port_of_a_host_has_one_task(self) -> None:
        held = [(one.host, port) for one in self.world.occupants() for port in one.ports]
        assert len(held) == len(set(held))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for name in HOSTS:
            self.world.change_host(name, connected=True, draining=False)
        self.world.settle()
        for service in self.world.services.values():
            running = self.world.running(service.id)
            wanted = 0 if service.absent else service.desired
            assert sorted(task.instance for task in running) == list(range(wanted))
            assert {task.definition_id for task in running} <= {service.definition_id}


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
