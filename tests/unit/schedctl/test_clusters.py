"""`schedctl clusters`: files applied, services seen and scaled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.support.scheduler_twin import Reply, Twin, answer, problem

Run = Callable[..., Result]
WEB: dict[str, Any] = {"name": "web", "cluster": "demo", "task_name": "server", "task_version": 1, "desired": 3}
CHANGES = {
    "changes": [
        {"kind": "cluster", "name": "demo", "action": "unchanged", "detail": ""},
        {"kind": "service", "name": "web", "action": "changed", "detail": "desired 2 -> 3"},
    ]
}


def services(*counts: int) -> list[Reply]:
    return [service(actual=count, reason="" if count == 3 else "no host") for count in counts]


def service(**state: Any) -> Reply:
    return answer({"items": [{**WEB, "issued": 3, "actual": 3, "reason": "", **state}], "next": ""})


@pytest.fixture
def file() -> str:
    Path("cluster.yml").write_text("clusters:\n- name: demo\n")
    return "cluster.yml"


def test_status_shows_desired_issued_and_actual(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /services", *services(2))
    assert schedctl("clusters", "status").stdout == (
        "cluster |name |task_name |task_version |desired |issued |actual |reason\n"
        "demo    |web  |server    |1            |3       |3      |2      |no host\n"
    )


def test_status_of_one_cluster_shows_only_its_services(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /services", *services(2))
    twin.on("GET /clusters/other", answer({"name": "other"}))
    assert len(schedctl("clusters", "status", "other").stdout.splitlines()) == 1
    assert schedctl("clusters", "status", "nowhere").exit_code == 3


def test_apply_sends_the_file_and_prints_a_line_per_object(twin: Twin, schedctl: Run, file: str) -> None:
    twin.on("POST /apply", answer(CHANGES))
    result = schedctl("clusters", "apply", file)
    assert result.stdout == "cluster demo: unchanged\nservice web: changed (desired 2 -> 3)\n"
    assert (twin.asked[0].body, twin.asked[0].query) == (Path(file).read_bytes(), {})


def test_plan_asks_without_applying(twin: Twin, schedctl: Run, file: str) -> None:
    twin.on("POST /apply", answer(CHANGES))
    schedctl("clusters", "plan", file)
    assert twin.asked[0].query == {"plan": "1"}


def test_apply_tells_every_fault_of_the_file(twin: Twin, schedctl: Run, file: str) -> None:
    twin.on("POST /apply", problem(422, "x", [("services[0].desired", "must be a number"), ("a", "b")]))
    result = schedctl("clusters", "apply", file)
    assert (result.exit_code, result.stderr.splitlines()[1:]) == (
        1,
        ["  services[0].desired: must be a number", "  a: b"],
    )


def test_apply_wait_ends_when_the_services_are_as_desired(twin: Twin, schedctl: Run, file: str) -> None:
    twin.on("POST /apply", answer(CHANGES))
    twin.on("GET /services", *services(1, 2, 3))
    assert schedctl("clusters", "apply", "--wait", "10", file).exit_code == 0
    assert len(twin.calls("GET /services")) == 3


@pytest.mark.parametrize("unsettled", [{"reason": "1 of 3 is of version 1"}, {"issued": 4}])
def test_apply_wait_goes_on_while_an_upgrade_is_not_done(
    twin: Twin, schedctl: Run, file: str, unsettled: dict[str, Any]
) -> None:
    twin.on("POST /apply", answer(CHANGES))
    twin.on("GET /services", service(**unsettled), service())
    assert schedctl("clusters", "apply", "--wait", "10", file).exit_code == 0
    assert len(twin.calls("GET /services")) == 2


def test_apply_wait_gives_up_at_its_time_limit(twin: Twin, schedctl: Run, file: str) -> None:
    twin.on("POST /apply", answer(CHANGES))
    twin.on("GET /services", *services(1))
    result = schedctl("clusters", "apply", "--wait", "50ms", file)
    assert (result.exit_code, "  web: 1 of 3 run: no host" in result.stderr) == (124, True)


def test_scale_sets_the_desired_number(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /services/web/scale", answer(WEB))
    assert schedctl("clusters", "scale", "web", "5").stdout == "web desired 5\n"
    assert twin.asked[0].document == {"desired": 5}


def test_scale_refuses_less_than_none(twin: Twin, schedctl: Run) -> None:
    assert (schedctl("clusters", "scale", "web", "--", "-1").exit_code, twin.asked) == (2, [])


def test_ls_and_rm(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /clusters", answer({"items": [{"name": "demo", "services": ["web", "api"]}], "next": ""}))
    twin.on("DELETE /clusters/demo", Reply(204))
    assert schedctl("clusters", "ls").stdout == "name |services\ndemo |web api\n"
    assert schedctl("clusters", "rm", "demo").stdout == "demo removed\n"


def test_get_shows_the_cluster_and_its_tasks(twin: Twin, schedctl: Run) -> None:
    task = {"cluster": "demo", "service": "web", "host": "host-a", "state": "running", "ports": {"http": 31000}}
    others = [{**task, "cluster": "other", "instance": 9}, {**task, "instance": 2}, {**task, "instance": 1}]
    twin.on("GET /clusters/demo", answer({"name": "demo"}))
    twin.on("GET /tasks", answer({"items": others, "next": ""}))
    assert schedctl("clusters", "get", "demo").stdout == (
        "name |demo\n\n"
        "service |instance |host   |state   |ports\n"
        "web     |1        |host-a |running |http=31000\n"
        "web     |2        |host-a |running |http=31000\n"
    )
    shown = json.loads(schedctl("clusters", "get", "demo", "-o", "json").stdout)
    assert [one["instance"] for one in shown["tasks"]] == [1, 2]
