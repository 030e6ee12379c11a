"""Hosts and commands over HTTP: what is answered, who may ask, and how faults read."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, Worker
from workers.testing import FakeAgents, Ran

pytestmark = pytest.mark.django_db
LoginAs = Callable[[str], Client]


@pytest.fixture
def login_as() -> LoginAs:
    """A client logged in under a new user of the role."""

    def login(role: str) -> Client:
        user = User.objects.create_user(role)
        if role != "nobody":
            user.groups.add(Group.objects.get_or_create(name=role)[0])
        client = Client()
        client.force_login(user)
        return client

    return login


@pytest.fixture
def operator(login_as: LoginAs) -> Client:
    return login_as("operator")


def post(client: Client, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(f"/api/v1{path}", json.dumps(body or {}), content_type="application/json", headers=headers)


def test_a_submitted_command_is_answered_with_its_id_and_state(agents: FakeAgents, operator: Client) -> None:
    answer = post(operator, "/commands", {"commands": [{"argv": ["echo", "hi"], "on": "zone=a"}]})

    (item,) = answer.json()["items"]
    assert answer.status_code == 201
    assert item["id"] == Command.objects.get().id
    assert (item["state"], item["argv"], item["on"], item["worker"]) == ("pending", ["echo", "hi"], "zone=a", None)


def test_a_command_that_ran_shows_where_it_ran_and_the_head_of_its_output(agents: FakeAgents, operator: Client) -> None:
    agents.connect("host-a", now=timezone.now())
    agents.run = lambda order: Ran(exit_code=3, stdout=b"hello world this is more than it shows", stderr=b"\xff")
    (command,) = store.submit([NewCommand(argv=["talk"])], timezone.now())
    agents.settle(timezone.now())

    item = operator.get(f"/api/v1/commands/{command.id}").json()

    assert (item["state"], item["exit_code"], item["worker"]) == ("done", 3, "host-a")
    assert (item["stdout"], item["stderr"]) == ("hello world this is ", "\N{REPLACEMENT CHARACTER}")
    assert item["stdout_bytes"] == 38


def test_commands_of_go_schedules_file_are_accepted(agents: FakeAgents, operator: Client) -> None:
    answer = post(operator, "/commands", {"commands": [{"cmd": "sleep", "params": [30, True, None, 1.5, "x"]}]})

    assert answer.json()["items"][0]["argv"] == ["sleep", "30", "true", "", "1.5", "x"]


def test_input_is_sent_as_base64(agents: FakeAgents, operator: Client) -> None:
    post(operator, "/commands", {"commands": [{"argv": ["wc"], "stdin": "/wA="}]})

    assert bytes(Command.objects.get().stdin) == b"\xff\x00"


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ({"argv": []}, "commands[1].argv"),
        ({"argv": ["a"], "on": "zone="}, "commands[1].on"),
        ({"argv": ["a"], "timeout_s": -1}, "commands[1].timeout_s"),
        ({"argv": ["a"], "timeout_s": "soon"}, "commands[1].timeout_s"),
        ({"argv": ["a"], "cmd": "a"}, "commands[1]"),
        ({}, "commands[1]"),
    ],
)
def test_a_fault_refuses_all_and_names_its_path(
    agents: FakeAgents, operator: Client, command: dict[str, Any], path: str
) -> None:
    answer = post(operator, "/commands", {"commands": [{"argv": ["true"]}, command]})

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert [fault["path"] for fault in answer.json()["errors"]] == [path]
    assert not Command.objects.exists()


def test_a_repeated_request_with_the_same_key_returns_the_first_commands(agents: FakeAgents, operator: Client) -> None:
    body = {"commands": [{"argv": ["a"]}, {"argv": ["a"]}]}

    first = post(operator, "/commands", body, Idempotency_Key="k1").json()
    second = post(operator, "/commands", body, Idempotency_Key="k1").json()

    assert [item["id"] for item in first["items"]] == [item["id"] for item in second["items"]]
    assert Command.objects.count() == 2


def test_a_key_used_for_another_command_is_a_conflict(agents: FakeAgents, operator: Client) -> None:
    post(operator, "/commands", {"commands": [{"argv": ["a"]}]}, Idempotency_Key="k1")

    answer = post(operator, "/commands", {"commands": [{"argv": ["b"]}]}, Idempotency_Key="k1")

    assert answer.status_code == 409
    assert "another argv" in answer.json()["detail"]


def test_output_is_read_from_an_offset_until_it_has_ended(agents: FakeAgents, operator: Client) -> None:
    agents.connect("host-a", now=timezone.now())
    agents.run = lambda order: Ran(stdout=b"hello\xff\n")
    (command,) = store.submit([NewCommand(argv=["talk"])], timezone.now())
    agents.settle(timezone.now())
    address = f"/api/v1/commands/{command.id}/output"

    part = operator.get(address, {"stream": "stdout", "offset": "2"})
    rest = operator.get(address, {"stream": "stdout", "offset": part["X-Next-Offset"]})

    assert (part.content, part["X-Next-Offset"], part["X-Ended"]) == (b"llo\xff\n", "7", "false")
    assert (rest.content, rest["X-Next-Offset"], rest["X-Ended"]) == (b"", "7", "true")


def test_output_of_a_running_command_has_not_ended(agents: FakeAgents, operator: Client) -> None:
    (command,) = store.submit([NewCommand(argv=["talk"])], timezone.now())

    answer = operator.get(f"/api/v1/commands/{command.id}/output")

    assert (answer.content, answer["X-Ended"]) == (b"", "false")


@pytest.mark.parametrize("query", [{"stream": "stdlog"}, {"offset": "-1"}])
def test_an_unknown_stream_or_offset_is_refused(agents: FakeAgents, operator: Client, query: dict[str, str]) -> None:
    (command,) = store.submit([NewCommand(argv=["talk"])], timezone.now())

    assert operator.get(f"/api/v1/commands/{command.id}/output", query).status_code == 422


def test_a_pending_command_is_cancelled_at_once(agents: FakeAgents, operator: Client) -> None:
    (command,) = store.submit([NewCommand(argv=["talk"])], timezone.now())

    answer = post(operator, f"/commands/{command.id}/cancel")

    assert (answer.json()["state"], answer.json()["reason"]) == ("cancelled", "cancelled by operator")


def test_commands_are_listed_newest_first_in_pages(agents: FakeAgents, operator: Client) -> None:
    ids = [command.id for command in store.submit([NewCommand(argv=["a"])] * 5, timezone.now())]

    first = operator.get("/api/v1/commands", {"limit": 3}).json()
    second = operator.get("/api/v1/commands", {"limit": 3, "cursor": first["next"]}).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] == ""


def test_listing_commands_costs_the_same_whatever_their_number(
    agents: FakeAgents, operator: Client, django_assert_max_num_queries: Any
) -> None:
    agents.connect("host-a", now=timezone.now())
    agents.run = lambda order: Ran(stdout=b"x")
    store.submit([NewCommand(argv=["a"])] * 30, timezone.now())
    agents.settle(timezone.now())

    with django_assert_max_num_queries(6):
        operator.get("/api/v1/commands")


def test_commands_are_filtered_by_state_and_worker(agents: FakeAgents, operator: Client) -> None:
    agents.connect("host-a", now=timezone.now())
    (done,) = store.submit([NewCommand(argv=["a"])], timezone.now())
    agents.settle(timezone.now())
    (pending,) = store.submit([NewCommand(argv=["a"])], timezone.now())

    def found(**query: str) -> list[str]:
        return [item["id"] for item in operator.get("/api/v1/commands", query).json()["items"]]

    assert found(state="pending") == [pending.id]
    assert found(worker="host-a") == [done.id]
    assert found(worker="host-b") == []


def test_hosts_are_listed_with_what_their_agents_said(agents: FakeAgents, operator: Client) -> None:
    agents.connect("host-a", now=timezone.now(), labels={"zone": "a"}, slots=4)

    (host,) = operator.get("/api/v1/hosts").json()["items"]

    assert (host["name"], host["state"], host["labels"], host["slots"]) == ("host-a", "connected", {"zone": "a"}, 4)
    assert host == operator.get("/api/v1/hosts/host-a").json()


def test_a_drained_host_says_so_and_its_agent_is_told(
    agents: FakeAgents, operator: Client, django_capture_on_commit_callbacks: Any
) -> None:
    agents.connect("host-a", now=timezone.now())

    with django_capture_on_commit_callbacks(execute=True):
        drained = post(operator, "/hosts/host-a/drain").json()
    agents.settle(timezone.now())

    assert drained["draining"] is True
    assert agents.agents["host-a"].draining is True
    assert post(operator, "/hosts/host-a/undrain").json()["draining"] is False


def test_only_a_disconnected_host_is_removed(agents: FakeAgents, operator: Client) -> None:
    agents.connect("host-a", now=timezone.now())

    refused = operator.delete("/api/v1/hosts/host-a")
    agents.stop("host-a", timezone.now() + timedelta(seconds=1))
    removed = operator.delete("/api/v1/hosts/host-a")

    assert (refused.status_code, removed.status_code) == (409, 204)
    assert not Worker.objects.exists()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/hosts/host-x"),
        ("post", "/hosts/host-x/drain"),
        ("delete", "/hosts/host-x"),
        ("get", "/commands/none"),
        ("get", "/commands/none/output"),
        ("post", "/commands/none/cancel"),
    ],
)
def test_what_does_not_exist_is_not_found(operator: Client, method: str, path: str) -> None:
    answer = getattr(operator, method)(f"/api/v1{path}")

    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("there is no ")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/commands"),
        ("post", "/commands/x/cancel"),
        ("post", "/hosts/x/drain"),
        ("post", "/hosts/x/undrain"),
        ("delete", "/hosts/x"),
    ],
)
def test_a_viewer_may_not_act(login_as: LoginAs, method: str, path: str) -> None:
    body = {"data": '{"commands": []}', "content_type": "application/json"}

    assert getattr(login_as("viewer"), method)(f"/api/v1{path}", **body).status_code == 403


@pytest.mark.parametrize("path", ["/hosts", "/commands"])
def test_reading_needs_a_login_and_a_role(login_as: LoginAs, path: str) -> None:
    assert Client().get(f"/api/v1{path}").status_code == 401
    assert login_as("nobody").get(f"/api/v1{path}").status_code == 403
    assert login_as("viewer").get(f"/api/v1{path}").status_code == 200


def test_the_api_describes_its_routes(operator: Client) -> None:
    paths = operator.get("/api/v1/openapi.json").json()["paths"]

    assert "/api/v1/commands/{command_id}/output" in paths
    assert all(route.get("description") for path in paths if "commands" in path for route in paths[path].values())
