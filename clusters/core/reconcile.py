"""Brings issued state to desired state: `decide(snapshot, now)` says what to issue, stop and give up.

Invariants: an instance is issued only where no task of it stays; a service has at most `max` tasks on its hosts; a
replacement (upgrade, drain) stops no healthy task while that leaves fewer than `min` healthy ones, except one at a time
where nothing else can make room.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from clusters.core.placement import Load, Placer, loads_of
from clusters.core.snapshot import Issue, Plan, ServiceView, Snapshot, TaskView, Verdict
from clusters.core.states import LIVE, UNFINISHED

ISSUES_MAX = 2000
"""How many tasks one decision issues at most, so that writing it down does not hold up other writers for long."""

LOOK_AGAIN = timedelta(seconds=2)
"""Until a service that is not as desired is looked at again, should no news of its tasks come before."""


def decide(snapshot: Snapshot, now: datetime) -> Plan:
    """The plan for all services of the snapshot. Services are taken in order and see each other's placements."""
    loads = loads_of(snapshot.hosts, snapshot.occupants)
    tasks: dict[int, list[TaskView]] = defaultdict(list)
    for task in snapshot.tasks:
        tasks[task.service].append(task)
    plan = Plan()
    for service in snapshot.services:
        plan.verdicts[service.id] = ServiceDecision(service, tasks[service.id], loads, now, plan).decide()
    return plan


class ServiceDecision:
    """One service's part of a decision; writes into the common plan."""

    def __init__(
        self, service: ServiceView, tasks: Sequence[TaskView], loads: Mapping[str, Load], now: datetime, plan: Plan
    ) -> None:
        self.service = service
        self.loads = loads
        self.now = now
        self.plan = plan
        self.ended = [task for task in tasks if task.state not in UNFINISHED]
        present = [task for task in tasks if task.state in UNFINISHED and not self.lose(task)]
        self.stopping = [task for task in present if task.state not in LIVE]
        self.live = sorted((task for task in present if task.state in LIVE), key=lambda task: -task.instance)
        self.departing: list[TaskView] = []
        self.staying: dict[int, TaskView] = {}
        for task in self.live:
            if self.departs(task):
                self.departing.append(task)
            else:
                self.staying[task.instance] = task

    def decide(self) -> Verdict:
        if self.service.absent:
            return self.end_all()
        for instance, task in list(self.staying.items()):
            if instance >= self.service.desired:
                self.plan.stop[task.id] = f"scaled down to {self.service.desired}"
                del self.staying[instance]
        waiting = self.ended_by_instance()
        backing_off = {number for number, ended in waiting.items() if not self.may_issue(ended)}
        all_ready = [number for number in self.missing() if number not in backing_off]
        ready = all_ready[: ISSUES_MAX - len(self.plan.issue)]
        placer = Placer(self.loads, self.service.id, self.service.definition, self.service.placement)
        issued = self.issue(ready, waiting, placer)
        if issued or backing_off:
            self.release(len(ready) - issued, placer)
        elif not self.release(len(ready), placer) and not self.stopping:
            self.release_one(len(ready), placer)
        if len(ready) < len(all_ready):
            return Verdict(f"{self.part(len(all_ready) - issued)} for the next decision", self.now)
        return self.verdict(len(ready) - issued, [waiting[number][-1] for number in sorted(backing_off)], placer)

    def lose(self, task: TaskView) -> bool:
        """Gives up a task whose host cannot be spoken to."""
        load = self.loads.get(task.host or "")
        if load is not None and load.host.connected:
            return False
        self.plan.lose[task.id] = f"{load.host.name} is disconnected" if load else "its host was removed"
        return True

    def departs(self, task: TaskView) -> bool:
        """Whether a live task only runs on until it is replaced. One on a draining host is marked so."""
        if not task.leaving and not self.service.absent and self.loads[task.host or ""].host.draining:
            self.plan.leave[task.id] = f"{self.loads[task.host or ''].host.name} is draining"
            return True
        return bool(task.leaving) or task.definition_id != self.service.definition_id

    def end_all(self) -> Verdict:
        for task in self.live:
            self.plan.stop[task.id] = self.service.absent
        self.plan.forget += [task.id for task in self.ended]
        return Verdict(self.service.absent)

    def missing(self) -> list[int]:
        return [number for number in range(self.service.desired) if number not in self.staying]

    def ended_by_instance(self) -> dict[int, list[TaskView]]:
        """Ended tasks to be replaced, the longest-waiting last; those that nobody will replace are forgotten."""
        found: dict[int, list[TaskView]] = defaultdict(list)
        for task in sorted(self.ended, key=lambda one: one.next_issue_at or self.now):
            wanted = task.definition_id == self.service.definition_id and task.instance < self.service.desired
            if wanted and task.instance not in self.staying:
                found[task.instance].append(task)
            else:
                self.plan.forget.append(task.id)
        return found

    def may_issue(self, ended: Sequence[TaskView]) -> bool:
        return all(task.next_issue_at is None or task.next_issue_at <= self.now for task in ended)

    def issue(self, ready: Sequence[int], waiting: Mapping[int, list[TaskView]], placer: Placer) -> int:
        """Issues as many ready instances as `max` and the hosts allow. Returns how many."""
        room = max(self.service.max - len(self.live) - len(self.stopping), 0)
        for count, instance in enumerate(ready[:room]):
            before = waiting.get(instance, [])
            failures = max((task.failures for task in before), default=0)
            avoid = before[-1].avoid if before else ()
            placed = placer.place(f"{self.service.id}/{instance}", avoid)
            if placed is None:
                return count
            host, ports = placed
            self.plan.issue.append(Issue(self.service.id, instance, host.id, host.name, ports, failures, avoid))
            self.plan.forget += [task.id for task in before]
        return min(room, len(ready))

    def release(self, blocked: int, placer: Placer) -> bool:
        """Stops departing tasks: those that are replaced, and those that must make room for `blocked` replacements.

        Returns whether it stopped any.
        """
        still_needed = max(self.service.desired - healthy_among(self.staying.values()), 0)
        if not still_needed:
            return self.depart(self.departing)
        healthy = [task for task in self.departing if task.state == "running"]
        if len(healthy) > still_needed:
            return self.depart(healthy[: len(healthy) - still_needed])
        places = blocked - len(self.stopping) - sum(task.id in self.plan.stop for task in self.live)
        return places > 0 and self.make_room(places, placer)

    def make_room(self, places: int, placer: Placer) -> bool:
        """Stops departing tasks so that up to `places` can be issued next: unhealthy ones first, then down to `min`."""
        helpful = self.helpful(placer)
        unhealthy = [task for task in helpful if task.state != "running"][:places]
        spare = max(min(self.spare(), places - len(unhealthy)), 0)
        return self.depart(unhealthy + [task for task in helpful if task.state == "running"][:spare])

    def release_one(self, blocked: int, placer: Placer) -> None:
        """The way on where `min` leaves nothing to spare and nothing is under way: replaces a single task."""
        staying_well = healthy_among(self.staying.values()) == len(self.staying)
        if blocked and staying_well and self.spare() == 0:
            self.depart([task for task in self.helpful(placer) if task.state == "running"][:1])

    def spare(self) -> int:
        """How many healthy tasks there are beyond `min`; negative where there are too few."""
        return healthy_among(self.departing) + healthy_among(self.staying.values()) - self.service.min

    def helpful(self, placer: Placer) -> list[TaskView]:
        """The departing tasks whose end would let a replacement be placed."""
        if placer.fits_anywhere():
            return self.departing
        return [task for task in self.departing if placer.fits_without(task.id, task.host or "")]

    def depart(self, tasks: Sequence[TaskView]) -> bool:
        for task in tasks:
            why = task.leaving or self.plan.leave.pop(task.id, "")
            self.plan.stop[task.id] = why or f"replaced by version {self.service.definition.version}"
        return bool(tasks)

    def verdict(self, unissued: int, backing_off: Sequence[TaskView], placer: Placer) -> Verdict:
        """Why the service is not as desired, and when to look again."""
        reasons, times = [], []
        room = self.service.max - len(self.live) - len(self.stopping)
        if unissued and room > 0 and not placer.fits_anywhere():
            reasons.append(f"{self.part(unissued)} for a host ({placer.why_nowhere()})")
        if backing_off:
            reasons.append(f"{self.part(len(backing_off))} after a failure ({backing_off[-1].reason})")
            times += [task.next_issue_at for task in backing_off if task.next_issue_at is not None]
        if self.departing:
            reasons.append(f"still to be replaced: {len(self.departing)}")
        if unissued or self.departing:
            times.append(self.now + LOOK_AGAIN)
        return Verdict("; ".join(reasons), min(times, default=None))

    def part(self, count: int) -> str:
        return f"{count} of {self.service.desired} tasks {'wait' if count > 1 else 'waits'}"


def healthy_among(tasks: Iterable[TaskView]) -> int:
    return sum(task.state == "running" for task in tasks)
