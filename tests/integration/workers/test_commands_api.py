"""What commands may ask for over HTTP: users, limits, priority, retries and arrays, and how it is answered."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from workers import store
from workers.models import Command
from workers.protocol import Limits, RunCommand
from workers.testing import FakeAgents, Ran, committing

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    user = User.objects.create_user("operator")
    user.groups.add(Group.objects.get_or_create(name="operator")[0])
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, *commands: dict[str, Any], **headers: str) -> Any:
    body = json.dumps({"commands": list(commands)})
    return client.post("/api/v1/commands", body, content_type="application/json", headers=headers)


def failing_once(agents: FakeAgents, operator: Client) -> str:
    """A command that failed, was tried again and did well; its id."""
    now = timezone.now()
    agents.connect("host-a", now=now)
    agents.run = lambda order: Ran(exit_code=0 if order.attempt > 1 else 4, stdout=f"try {order.attempt}".encode())
    (item,) = post(operator, {"argv": ["work"], "retries": 1}).json()["items"]
    agents.settle(now + timedelta(seconds=1))
    agents.settle(now + timedelta(seconds=9))
    return str(item["id"])


def test_all_that_is_asked_for_reaches_the_agent_and_is_answered(agents: FakeAgents, operator: Client) -> None:
    orders: list[RunCommand] = []
    agents.run = lambda order: orders.append(order) or Ran()  # type: ignore[func-returns-value]
    agents.connect("host-a", now=timezone.now())

    answer = post(
        operator,
        {
            "argv": ["work"],
            "user": "nobody",
            "memory_mb": 64,
            "cpu_seconds": 5,
            "open_files": 100,
            "priority": 7,
            "retries": 2,
            "output_limit_bytes": 5_000_000,
        },
    )
    agents.settle(timezone.now())

    (item,) = answer.json()["items"]
    assert (item["user"], item["priority"], item["retries"]) == ("nobody", 7, 2)
    (order,) = orders
    assert (order.user, order.priority, order.output_limit_bytes) == ("nobody", 7, 5_000_000)
    assert order.limits == Limits(memory_mb=64, cpu_seconds=5, open_files=100)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"array": "9-1"}, "commands[1].array"),
        ({"array": "0-999999"}, "commands[1].array"),
        ({"at_once": 3}, "commands[1].at_once"),
        ({"array": "0-9", "at_once": -1}, "commands[1].at_once"),
        ({"user": "a b"}, "commands[1].user"),
        ({"priority": 1001}, "commands[1].priority"),
        ({"priority": "high"}, "commands[1].priority"),
        ({"retries": -1}, "commands[1].retries"),
        ({"retry_delay_s": -1}, "commands[1].retry_delay_s"),
        ({"memory_mb": -1}, "commands[1].memory_mb"),
        ({"output_limit_bytes": 2**31}, "commands[1].output_limit_bytes"),
    ],
)
def test_a_fault_names_its_path(agents: FakeAgents, operator: Client, fields: dict[str, Any], path: str) -> None:
    answer = post(operator, {"argv": ["a"]}, {"argv": ["b"], **fields})

    assert answer.status_code == 422
    assert [fault["path"] for fault in answer.json()["errors"]] == [path]
    assert not Command.objects.exists()


def test_an_array_is_answered_with_all_its_commands_and_found_by_its_id(agents: FakeAgents, operator: Client) -> None:
    items = post(operator, {"argv": ["one"]}, {"argv": ["many"], "array": "0-4:2", "at_once": 1}).json()["items"]

    assert [item["array_index"] for item in items] == [None, 0, 2, 4]
    assert items[0]["array_id"] is None
    found = operator.get("/api/v1/commands", {"array": items[1]["array_id"]}).json()["items"]
    assert sorted(item["array_index"] for item in found) == [0, 2, 4]


def test_a_repeated_request_for_an_array_returns_the_first(agents: FakeAgents, operator: Client) -> None:
    wanted = {"argv": ["many"], "array": "0-4"}
    first = post(operator, wanted, Idempotency_Key="k").json()["items"]
    second = post(operator, wanted, Idempotency_Key="k").json()["items"]
    other = post(operator, {**wanted, "array": "0-9"}, Idempotency_Key="k")

    assert [item["id"] for item in first] == [item["id"] for item in second]
    assert other.status_code == 409


def test_attempts_are_listed_first_to_last(agents: FakeAgents, operator: Client) -> None:
    command_id = failing_once(agents, operator)

    items = operator.get(f"/api/v1/commands/{command_id}/attempts").json()["items"]

    assert [(item["attempt"], item["state"], item["exit_code"]) for item in items] == [(1, "done", 4), (2, "done", 0)]
    assert {item["worker"] for item in items} == {"host-a"}


def test_a_command_that_was_never_sent_has_no_attempts(agents: FakeAgents, operator: Client) -> None:
    (item,) = post(operator, {"argv": ["a"]}).json()["items"]

    assert operator.get(f"/api/v1/commands/{item['id']}/attempts").json() == {"items": []}


def test_the_output_of_each_attempt_can_be_read(agents: FakeAgents, operator: Client) -> None:
    address = f"/api/v1/commands/{failing_once(agents, operator)}/output"

    last, first = operator.get(address), operator.get(address, {"attempt": 1})
    end = operator.get(address, {"attempt": 1, "offset": 5})

    assert (last.content, last["X-Attempt"]) == (b"try 2", "2")
    assert (first.content, first["X-Attempt"]) == (b"try 1", "1")
    assert (end.content, end["X-Ended"]) == (b"", "true")


def test_deadlines_and_use_are_answered(agents: FakeAgents, operator: Client) -> None:
    (item,) = post(operator, {"argv": ["a"], "start_within_s": 60}).json()["items"]

    assert set(item["deadlines"]) == {"ack_by", "start_by", "run_by"}
    assert item["deadlines"]["start_by"] is not None
    assert item["usage"] == {"cpu_user_s": None, "cpu_system_s": None, "max_rss_kb": None, "wall_s": None}


def test_an_order_has_an_acknowledgement_deadline_until_it_is_acknowledged(
    agents: FakeAgents, operator: Client
) -> None:
    agents.connect("host-a", now=timezone.now())
    agents.run = lambda order: Ran(holds=True)
    (item,) = post(operator, {"argv": ["a"], "timeout_s": 30}).json()["items"]
    with committing():
        store.place_pending(timezone.now())
    sent = Command.objects.get(id=item["id"])
    agents.settle(timezone.now())
    taken = Command.objects.get(id=item["id"])

    assert (sent.state, sent.ack_by is not None, sent.run_by) == ("scheduled", True, None)
    assert (taken.state, taken.ack_by, taken.run_by is not None) == ("running", None, True)


def test_fields_and_examples_are_described(operator: Client) -> None:
    schemas = operator.get("/api/v1/openapi.json").json()["components"]["schemas"]

    asked = schemas["CommandIn"]["properties"]
    assert asked["array"]["examples"] == ["0-99"]
    assert all(asked[name].get("description") for name in ("user", "memory_mb", "priority", "retries", "at_once"))
    assert {"usage", "deadlines", "attempt", "array_id", "array_index"} <= set(schemas["CommandOut"]["properties"])
