"""Clusters, services and tasks over HTTP and in the admin: what is shown, and who may act."""

import json
from typing import Any

import pytest
from django.test import Client

from clusters.models import Cluster, Service, Task, TaskDefinition
from tests.support.clients import client_of

from .conftest import System, definition, document

API = "/api/v1"


@pytest.fixture
def running(system: System) -> System:
    system.connect("host-a", "host-b")
    system.apply(document())
    system.ticks(2)
    return system


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(f"{API}{path}", json.dumps(body), content_type="application/json")


def test_a_service_shows_desired_issued_and_actual(running: System) -> None:
    client = client_of("viewer")
    expected = {
        "name": "web",
        "cluster": "demo",
        "task_name": "hello",
        "task_version": 1,
        "desired": 3,
        "min": 2,
        "max": 4,
        "issued": 3,
        "actual": 3,
        "reason": "",
    }

    assert client.get(f"{API}/services/web").json() == expected
    assert client.get(f"{API}/services?cluster=demo").json()["items"] == [expected]
    assert client.get(f"{API}/services?cluster=other").json()["items"] == []


def test_a_cluster_shows_its_services(running: System) -> None:
    client = client_of("viewer")

    (item,) = client.get(f"{API}/clusters").json()["items"]

    assert (item["name"], item["services"]) == ("demo", ["web"])
    assert client.get(f"{API}/clusters/demo").json() == item


def test_tasks_are_found_by_service_host_and_state(running: System) -> None:
    client = client_of("viewer")

    def names(query: str) -> list[str]:
        return sorted(item["name"] for item in client.get(f"{API}/tasks?{query}").json()["items"])

    assert names("service=web") == ["demo-web-1-0", "demo-web-1-1", "demo-web-1-2"]
    assert names("host=host-b") == ["demo-web-1-1"]
    assert names("state=lost") == []
    assert names("service=other") == []


def test_a_task_shows_where_it_runs(running: System) -> None:
    task = Task.objects.get(instance=1)

    shown = client_of("viewer").get(f"{API}/tasks/{task.id}").json()

    assert (shown["host"], shown["ports"], shown["state"]) == ("host-b", {"PROVIDED_PORT": 31020}, "running")


def test_definitions_are_listed_by_name(running: System) -> None:
    client = client_of("viewer")

    (item,) = client.get(f"{API}/task-definitions?name=hello").json()["items"]

    assert (item["version"], item["document"]["containers"][0]["executor"]) == (1, "bash")
    assert len(client.get(f"{API}/task-definitions").json()["items"]) == 1


def test_secrets_in_the_environment_of_a_definition_are_masked(system: System) -> None:
    executor = {"start": "serve", "env": ["DB_PASSWORD=hunter2", "COLOUR=red"]}
    system.apply({"tasks": [definition(containers=[{"name": "main", "type": "bash", "executor": executor}])]})
    key = TaskDefinition.objects.get().pk

    shown = client_of("viewer").get(f"{API}/task-definitions").content.decode()
    page = client_of("operator", is_staff=True).get(f"/admin/clusters/taskdefinition/{key}/change/").content.decode()

    assert "red" in shown
    assert "red" in page
    assert "hunter2" not in shown + page


def test_an_operator_scales_a_service(running: System) -> None:
    answer = post(client_of("operator"), "/services/web/scale", {"desired": 10})

    assert answer.status_code == 200
    assert (answer.json()["desired"], answer.json()["max"]) == (10, 10)


@pytest.mark.parametrize("body", [{"desired": -1}, {"desired": 10**9}, {"desired": "ten"}, {}])
def test_a_number_that_is_no_number_of_tasks_is_refused(running: System, body: dict[str, Any]) -> None:
    assert post(client_of("operator"), "/services/web/scale", body).status_code == 422


def test_an_operator_removes_a_cluster(running: System) -> None:
    client = client_of("operator")

    answer = client.delete(f"{API}/clusters/demo")

    assert answer.status_code == 204
    assert client.get(f"{API}/clusters/demo").status_code == 404
    assert client.get(f"{API}/services").json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", "/clusters/x"), ("delete", "/clusters/x"), ("get", "/services/x"), ("get", "/tasks/x")],
)
def test_what_is_not_there_is_404(system: System, method: str, path: str) -> None:
    answer = getattr(client_of("operator"), method)(f"{API}{path}")

    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("there is no")


def test_scaling_what_is_not_there_is_404(system: System) -> None:
    assert post(client_of("operator"), "/services/x/scale", {"desired": 1}).status_code == 404


def test_a_viewer_may_look_but_not_act(running: System) -> None:
    client = client_of("viewer")

    assert post(client, "/services/web/scale", {"desired": 1}).status_code == 403
    assert client.delete(f"{API}/clusters/demo").status_code == 403
    assert Client().get(f"{API}/services").status_code == 401


@pytest.mark.parametrize("table", ["cluster", "service", "taskdefinition", "task"])
def test_every_table_is_listed_searched_and_opened_in_the_admin(running: System, table: str) -> None:
    client = client_of("operator", is_staff=True)
    model: Any = {"cluster": Cluster, "service": Service, "task": Task, "taskdefinition": TaskDefinition}[table]

    assert client.get(f"/admin/clusters/{table}/?q=web").status_code == 200
    assert client.get(f"/admin/clusters/{table}/add/").status_code == 403
    assert client.get(f"/admin/clusters/{table}/{model.objects.first().pk}/change/").status_code == 200


def act(client: Client, table: str, action: str, *keys: object) -> Any:
    body = {"action": action, "_selected_action": list(keys)}
    return client.post(f"/admin/clusters/{table}/", body, follow=True)


def test_operators_act_in_the_admin(running: System) -> None:
    client = client_of("operator", is_staff=True)
    service, cluster, task = Service.objects.get(), Cluster.objects.get(), Task.objects.get(instance=2)

    act(client, "task", "stop_and_issue_again", task.pk)
    act(client, "service", "one_more", service.pk)
    act(client, "service", "one_less", service.pk)
    act(client, "service", "one_less", service.pk)
    act(client, "cluster", "remove", cluster.pk)

    task.refresh_from_db()
    assert (task.state, task.reason) == ("stopping", "stopped by operator")
    assert Service.objects.get().desired == 2
    assert Cluster.objects.get().removed_at is not None


def test_an_action_that_is_too_late_says_so(running: System) -> None:
    client = client_of("operator", is_staff=True)
    task = Task.objects.get(instance=2)
    Task.objects.update(state="stopped")
    Service.objects.update(desired=0)

    late = act(client, "task", "stop_and_issue_again", task.pk)
    below = act(client, "service", "one_less", Service.objects.get().pk)

    assert b"is stopped already" in late.content
    assert b"must be from 0 to" in below.content


def test_viewers_have_no_actions_in_the_admin(running: System) -> None:
    client = client_of("viewer", is_staff=True)

    act(client, "task", "stop_and_issue_again", Task.objects.get(instance=2).pk)

    assert Task.objects.get(instance=2).state == "running"
