"""Topologies and runs over HTTP: what is answered, who may ask, and how faults read."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.integration.topologies.support import document
from topologies import store
from topologies.manifest import spec_of
from topologies.models import Run, Topology

pytestmark = pytest.mark.django_db
LoginAs = Callable[[str], Client]


@pytest.fixture
def login_as() -> LoginAs:
    """A client logged in under a new user of the role."""

    def login(role: str) -> Client:
        user = User.objects.create_user(role)
        user.groups.add(Group.objects.get_or_create(name=role)[0])
        client = Client()
        client.force_login(user)
        return client

    return login


@pytest.fixture
def operator(login_as: LoginAs) -> Client:
    return login_as("operator")


def call(client: Client, verb: str, path: str, body: Any = None, **headers: str) -> Any:
    content = json.dumps(body or {})
    return client.generic(verb.upper(), f"/api/v1{path}", content, content_type="application/json", headers=headers)


def made(name: str = "report", **changes: Any) -> Topology:
    now = timezone.now()
    return store.create(spec_of(document(name, **changes), None, now), now, "ann")


def test_a_topology_is_created_and_shown(operator: Client) -> None:
    answer = call(operator, "post", "/topologies", document())

    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["name"], shown["state"], shown["cron"], shown["timezone"]) == (
        "report",
        "active",
        "0 * * * * ?",
        "UTC",
    )
    assert shown["next_run_at"]
    assert shown["last_run"] is None
    assert operator.get("/api/v1/topologies/report").json() == shown


def test_a_name_that_is_taken_is_a_conflict(operator: Client) -> None:
    made()

    answer = call(operator, "post", "/topologies", document())

    assert answer.status_code == 409
    assert "there is a topology report already" in answer.json()["detail"]


def test_a_repeated_request_is_answered_as_the_first(operator: Client) -> None:
    for _ in range(2):
        answer = call(operator, "post", "/topologies", document(), **{"Idempotency-Key": "k1"})
        assert answer.status_code == 201

    changed = document(overlap="allow")
    assert call(operator, "post", "/topologies", changed, **{"Idempotency-Key": "k1"}).status_code == 409


def test_every_fault_of_a_document_is_told_with_its_path(operator: Client) -> None:
    body = document(trigger={"type": "CRON", "timeSpec": "0 0 25 * * ?", "timezone": "Nowhere"})

    answer = call(operator, "post", "/topologies", body)

    assert answer.status_code == 422
    assert {fault["path"] for fault in answer.json()["errors"]} == {"trigger.timeSpec", "trigger.timezone"}
    assert not Topology.objects.exists()


def test_a_trigger_without_a_fire_to_come_is_refused(operator: Client) -> None:
    for trigger in ({"timeSpec": "0 0 0 1 1 ? 2020"}, {"time": "2020-01-01T00:00:00Z"}):
        answer = call(operator, "post", "/topologies", document(trigger=trigger))

        assert answer.status_code == 422
        assert "would never fire" in answer.json()["detail"]


def test_a_change_makes_a_new_version_and_keeps_the_due_fire(operator: Client) -> None:
    before = made()

    answer = call(operator, "put", "/topologies/report", document(overlap="allow"))

    assert (answer.json()["version"], answer.json()["overlap"]) == (2, "allow")
    assert Topology.objects.get().next_run_at == before.next_run_at


def test_a_changed_trigger_moves_the_next_fire(operator: Client) -> None:
    made()

    answer = call(operator, "put", "/topologies/report", document(trigger={"time": "2090-01-01T00:00:00Z"}))

    assert answer.json()["next_run_at"] == answer.json()["at"] == "2090-01-01T00:00:00Z"


def test_a_change_that_changes_nothing_makes_no_new_version(operator: Client) -> None:
    made()

    assert call(operator, "put", "/topologies/report", document()).json()["version"] == 1


def test_a_topology_cannot_be_renamed(operator: Client) -> None:
    made()

    answer = call(operator, "put", "/topologies/report", document("other"))

    assert answer.status_code == 422
    assert "names do not change" in answer.json()["detail"]


def test_secrets_in_the_environment_are_masked(operator: Client) -> None:
    components = [{"name": "x", "command": "true", "env": {"API_TOKEN": "hunter2", "MODE": "full"}}]
    made(graph={"components": components})

    shown = operator.get("/api/v1/topologies/report").content.decode()

    assert "hunter2" not in shown
    assert "full" in shown


def test_pausing_and_unpausing_are_shown_and_may_be_repeated(operator: Client) -> None:
    made()

    for _ in range(2):
        paused = call(operator, "post", "/topologies/report/pause").json()
        assert (paused["state"], paused["next_run_at"]) == ("paused", None)
        assert "paused by operator" in paused["reason"]
    for _ in range(2):
        active = call(operator, "post", "/topologies/report/unpause").json()
        assert (active["state"], active["reason"]) == ("active", "")
        assert active["next_run_at"]


def test_a_change_of_a_paused_topology_leaves_it_paused(operator: Client) -> None:
    made()
    store.pause("report", timezone.now(), "ann")

    changed = call(operator, "put", "/topologies/report", document(trigger={"timeSpec": "0 0 * * * ?"})).json()

    assert (changed["state"], changed["next_run_at"]) == ("paused", None)


def test_a_run_is_started_at_once_and_is_the_last_run(operator: Client) -> None:
    made()

    answer = call(operator, "post", "/topologies/report/run")

    assert answer.status_code == 201
    run = answer.json()
    assert (run["topology"], run["kind"], run["state"], run["actor"]) == ("report", "instant", "running", "operator")
    assert run["graph"] == run["id"]
    assert operator.get("/api/v1/topologies/report").json()["last_run"] == run
    assert operator.get(f"/api/v1/runs/{run['id']}").json() == run


def test_a_repeated_request_to_run_starts_one_run(operator: Client) -> None:
    made()

    ids = {call(operator, "post", "/topologies/report/run", **{"Idempotency-Key": "k1"}).json()["id"] for _ in range(2)}

    assert len(ids) == Run.objects.count() == 1


def test_a_run_is_killed(operator: Client) -> None:
    made()
    run_id = call(operator, "post", "/topologies/report/run").json()["id"]

    assert call(operator, "post", f"/runs/{run_id}/kill").status_code == 200
    assert call(operator, "post", "/runs/none/kill").status_code == 404


def test_the_next_fires_are_listed(operator: Client) -> None:
    made(trigger={"timeSpec": "0 0 9 1 1 ? 2090-2092", "timezone": "Asia/Tokyo"})

    answer = operator.get("/api/v1/topologies/report/next?count=2")

    assert answer.json()["items"] == ["2090-01-01T00:00:00Z", "2091-01-01T00:00:00Z"]


def test_a_deleted_topology_is_gone_and_its_runs_are_kept(operator: Client) -> None:
    made()
    run_id = call(operator, "post", "/topologies/report/run").json()["id"]

    answer = operator.delete("/api/v1/topologies/report")

    assert answer.json()["state"] == "deleted"
    assert "runs in progress go on: 1" in answer.json()["reason"]
    assert operator.get("/api/v1/topologies/report").status_code == 404
    assert operator.get(f"/api/v1/runs/{run_id}").json()["topology"] == "report"


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("get", "/topologies/none"),
        ("put", "/topologies/none"),
        ("delete", "/topologies/none"),
        ("post", "/topologies/none/run"),
        ("post", "/topologies/none/pause"),
        ("post", "/topologies/none/unpause"),
        ("get", "/topologies/none/next"),
        ("get", "/runs/none"),
    ],
)
def test_what_is_not_there_is_not_found(operator: Client, verb: str, path: str) -> None:
    answer = call(operator, verb, path, document("none") if verb == "put" else None)

    assert answer.status_code == 404


def test_lists_come_in_pages_with_a_constant_number_of_queries(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(7):
        made(f"report-{number}")
        store.run_now(f"report-{number}", timezone.now(), "ann")

    with django_assert_max_num_queries(6):
        first = operator.get("/api/v1/topologies?limit=5").json()
    rest = operator.get(f"/api/v1/topologies?limit=5&cursor={first['next']}").json()

    names = [one["name"] for one in first["items"] + rest["items"]]
    assert sorted(names) == [f"report-{number}" for number in range(7)]
    assert all(one["last_run"]["topology"] == one["name"] for one in first["items"])


def test_runs_are_listed_newest_first_by_topology_and_state(operator: Client) -> None:
    made("one")
    made("two")
    ids = [store.run_now(name, timezone.now(), "ann").pk for name in ("one", "two", "one")]
    Run.objects.filter(pk=ids[0]).update(state="failed")

    def listed(query: str) -> list[str]:
        return [run["id"] for run in operator.get(f"/api/v1/runs?{query}").json()["items"]]

    assert listed("") == ids[::-1]
    assert listed("topology=one") == [ids[2], ids[0]]
    assert listed("topology=one&state=failed") == [ids[0]]


@pytest.mark.parametrize("path", ["/topologies", "/topologies/report/run", "/topologies/report/pause"])
def test_a_viewer_may_look_but_not_act(login_as: LoginAs, path: str) -> None:
    made()
    viewer = login_as("viewer")

    assert viewer.get("/api/v1/topologies").status_code == 200
    assert call(viewer, "post", path, document("other")).status_code == 403
    assert viewer.delete("/api/v1/topologies/report").status_code == 403
    assert Topology.objects.get().state == "active"
