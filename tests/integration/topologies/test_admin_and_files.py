"""Topologies in the admin, in files that are applied, and at the hand of the clock."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from scheduler_project.manifest import Source, apply, plan
from tests.integration.topologies.support import NOON, created, document, once
from tests.support.processes import ROOT
from topologies import manifest, store
from topologies.models import Run, Topology
from topologies.tasks import fire_due

pytestmark = pytest.mark.django_db
EXAMPLE = (ROOT / "examples" / "topology.yml").read_bytes()


@pytest.fixture
def staff() -> Callable[[str], Client]:
    """A client that may open the admin, of a role."""

    def login(role: str) -> Client:
        user = User.objects.create_user(role, is_staff=True)
        user.groups.add(Group.objects.get_or_create(name=role)[0])
        client = Client()
        client.force_login(user)
        return client

    return login


def act(client: Client, model: str, action: str, *keys: Any) -> Any:
    body = {"action": action, "_selected_action": [str(key) for key in keys]}
    return client.post(reverse(f"admin:topologies_{model}_changelist"), body, follow=True)


def test_topologies_are_run_paused_and_unpaused_in_the_admin(staff: Callable[[str], Client]) -> None:
    topology = created()
    operator = staff("operator")

    assert "topology report runs" in act(operator, "topology", "run_now", topology.pk).content.decode()
    act(operator, "topology", "pause", topology.pk)
    assert Topology.objects.get().state == "paused"
    act(operator, "topology", "unpause", topology.pk)
    assert Topology.objects.get().state == "active"
    assert Run.objects.get().actor == "operator"


def test_acting_on_a_deleted_topology_is_told(staff: Callable[[str], Client]) -> None:
    topology = created()
    store.delete("report", NOON, "ann")

    assert "there is no topology report" in act(staff("operator"), "topology", "pause", topology.pk).content.decode()


def test_runs_are_killed_in_the_admin(staff: Callable[[str], Client]) -> None:
    created()
    run = store.run_now("report", NOON, "ann")
    operator = staff("operator")

    assert "is being stopped" in act(operator, "run", "kill", run.pk).content.decode()
    Run.objects.update(state="failed")
    assert "is already failed" in act(operator, "run", "kill", run.pk).content.decode()


@pytest.mark.parametrize("model", ["topology", "run"])
def test_a_viewer_looks_and_cannot_act(staff: Callable[[str], Client], model: str) -> None:
    topology = created(graph={"components": [{"name": "x", "command": "y", "env": {"PASSWORD": "hunter2"}}]})
    run = store.run_now("report", NOON, "ann")
    viewer = staff("viewer")
    key = topology.pk if model == "topology" else run.pk

    assert viewer.get(reverse(f"admin:topologies_{model}_changelist"), {"q": "report"}).status_code == 200
    shown = viewer.get(reverse(f"admin:topologies_{model}_change", args=[key]))
    assert shown.status_code == 200
    assert "hunter2" not in shown.content.decode()
    act(viewer, "topology", "pause", topology.pk)
    assert Topology.objects.get().state == "active"


def outcome(text: bytes) -> tuple[list[str], list[str]]:
    applied = apply([Source("t.yml", text)], timezone.now(), "ann")
    return [str(change) for change in applied.changes], [str(fault) for fault in applied.faults]


def test_the_example_is_created_and_then_unchanged() -> None:
    assert outcome(EXAMPLE) == (["topology demo-report: created"], [])
    assert outcome(EXAMPLE) == (["topology demo-report: unchanged"], [])
    topology = Topology.objects.get()
    assert topology.version == 1
    assert [component["name"] for component in topology.components] == ["extract", "transform", "load"]


def test_a_changed_file_changes_the_topology() -> None:
    outcome(EXAMPLE)

    assert outcome(EXAMPLE.replace(b"sleep 1", b"sleep 2")) == (["topology demo-report: changed"], [])
    assert Topology.objects.get().version == 2


def test_planning_writes_nothing() -> None:
    assert [str(change) for change in plan([Source("t.yml", EXAMPLE)], NOON).changes] == [
        "topology demo-report: created"
    ]
    assert not Topology.objects.exists()


def test_a_file_that_is_one_topology_needs_no_list_around_it() -> None:
    text = b"name: report\ntrigger: {timeSpec: '0 * * * * ?'}\ngraph: {components: [{name: a, command: date}]}\n"

    assert outcome(text) == (["topology report: created"], [])


def test_every_fault_of_a_file_is_told_and_nothing_is_applied() -> None:
    text = EXAMPLE.replace(b"timeout_s: 30", b"timeout_s: long").replace(b"after: [transform]", b"after: [transfrom]")

    changes, faults = outcome(text)

    assert faults == [
        "t.yml: topologies[0].graph.components[2].after: there is no component 'transfrom'; "
        "known are extract, transform, load"
    ]
    assert changes[0].startswith("topology demo-report: refused")
    assert not Topology.objects.exists()


def test_what_the_provider_refuses_has_its_path_in_the_file() -> None:
    _, faults = outcome(EXAMPLE.replace(b"timeout_s: 30", b"timeout_s: long"))

    assert faults == ["t.yml: topologies[0].graph.components[1].timeout_s: must be a number of seconds"]


def test_a_name_given_twice_is_refused_the_second_time() -> None:
    one = b"  - {name: report, graph: {components: [{name: a, command: date}]}}\n"

    _, faults = outcome(b"topologies:\n" + one + one)

    assert faults == ["t.yml: topologies[1].name: is given twice; give each its own name"]


def test_a_file_whose_instant_is_over_is_unchanged_and_not_refused() -> None:
    written = document(trigger=once(NOON + timedelta(hours=1)))
    created(trigger=written["trigger"])

    def action(later: timedelta, **changes: Any) -> str:
        (change,) = manifest.plan({"topologies": [{**written, **changes}]}, NOON + later)
        return change.action

    assert action(timedelta(hours=2)) == "unchanged"
    assert action(timedelta(hours=2), overlap="allow") == "changed"
    assert action(timedelta(hours=2), trigger=once(NOON)) == "refused"


def test_the_clocks_task_settles_and_fires() -> None:
    topology = created(now=timezone.now() - timedelta(minutes=2), overlap="allow")
    Topology.objects.update(next_run_at=timezone.now() - timedelta(seconds=1))

    fire_due()

    assert Run.objects.filter(topology=topology, state="running").exists()
