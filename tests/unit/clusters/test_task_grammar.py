"""Task definitions in all their historical forms, and what is wrong with broken ones."""

from typing import Any

import pytest

from clusters.core.document import Check, Container, Port, TaskDefinition, from_stored, to_stored
from clusters.core.task_grammar import read_task_definition
from scheduler_project.toolkit.errors import Fault


def read(**fields: Any) -> tuple[TaskDefinition, list[str]]:
    faults: list[Fault] = []
    definition = read_task_definition(
        {"name": "web", "version": 1, "containers": [bash()]} | fields, "tasks[0]", faults
    )
    return definition, [str(fault) for fault in faults]


def good(**fields: Any) -> TaskDefinition:
    definition, faults = read(**fields)
    assert faults == []
    return definition


def faults_of(**fields: Any) -> list[str]:
    return read(**fields)[1]


def bash(**fields: Any) -> dict[str, Any]:
    return {"name": "main", "type": "bash", "executor": {"start": "serve"}} | fields


def docker(executor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "main", "type": "docker", "executor": {"image": "hello"} | executor} | fields


def test_a_plain_bash_task_is_read_with_its_defaults() -> None:
    definition = good()

    assert definition.containers == [Container("main", "bash", {"start": ["serve"], "stop": []})]
    assert (definition.grace_period_s, definition.max_attempts, definition.ports) == (60, 10, [])


def test_a_definition_survives_being_stored() -> None:
    definition = good(provide_port=True, checks=[{"http": "http://127.0.0.1:$PROVIDED_PORT"}], tags=["a"])

    assert from_stored(to_stored(definition)) == definition


@pytest.mark.parametrize(
    "container",
    [
        {"name": "main", "executor": "bash", "bash": {"start": ["a", "b"], "stop": ["c"]}},
        {"name": "main", "type": "bash", "executor": {"start": ["a", "b"], "stop": "c"}},
        {"name": "main", "type": "bash", "bash": {"start": ["a", "b"], "kill": "c"}},
    ],
)
def test_every_historical_form_of_bash_means_the_same(container: dict[str, Any]) -> None:
    (read_container,) = good(containers=[container]).containers

    assert read_container == Container("main", "bash", {"start": ["a", "b"], "stop": ["c"]})


def test_the_oldest_form_with_cmd_and_args_is_one_command() -> None:
    options = {"cmd": "serve", "args": ["--name", "a b"], "kill": "killall serve"}

    (container,) = good(containers=[bash(executor=options)]).containers

    assert container.options == {"start": ["serve --name 'a b'"], "stop": ["killall serve"]}


def test_fault_11_cmd_of_docker_is_a_text_or_a_list() -> None:
    for cmd in ("serve", ["serve"]):
        (container,) = good(containers=[docker({"cmd": cmd})]).containers
        assert container.options["cmd"] == ["serve"]


def test_env_is_a_list_of_texts_of_mappings_or_one_mapping() -> None:
    for env in (["A=1", "B=x=y"], [{"A": 1}, {"B": "x=y"}], {"A": 1, "B": "x=y"}):
        (container,) = good(containers=[bash(executor={"start": "serve", "env": env})]).containers
        assert container.env == {"A": "1", "B": "x=y"}


def test_provide_port_and_container_port_become_one_named_port() -> None:
    definition = good(provide_port=True, containers=[docker({"container_port": 80})])

    assert definition.ports == [Port("PROVIDED_PORT", 0, 80)]


def test_a_fixed_port_is_kept() -> None:
    assert good(port=9999).ports == [Port("PROVIDED_PORT", 9999)]


def test_named_ports_of_containers_are_ports_of_the_task() -> None:
    definition = good(containers=[docker({}, ports=[{"name": "main", "host": 0, "container": 80}])])

    assert definition.ports == [Port("main", 0, 80)]


def test_ports_in_the_executor_are_fixed() -> None:
    assert good(containers=[docker({"ports": ["5000:80"]})]).ports == [Port("PORT_5000", 5000, 80)]
    assert good(containers=[bash(executor={"start": "x", "ports": [80]})]).ports == [Port("PORT_80", 80)]


def test_add_provided_port_puts_the_port_before_the_path() -> None:
    checks = [{"http": "http://127.0.0.1/health", "add_provided_port": True}, {"tcp": "h", "add_provided_port": True}]

    found = good(provide_port=True, checks=checks).checks

    assert [one.http or one.tcp for one in found] == ["http://127.0.0.1:$PROVIDED_PORT/health", "h:$PROVIDED_PORT"]


def test_checks_are_a_list_or_one_mapping_on_the_task_or_its_containers() -> None:
    check = {"name": "up", "script": "true", "interval": "10s", "timeout": "2s"}

    definition = good(checks=check, containers=[bash(checks=[check])])

    assert definition.checks == [
        Check("task-0-up", script="true", interval_s=10, timeout_s=2),
        Check("main-0-up", script="true", interval_s=10, timeout_s=2),
    ]


def test_resources_add_up_and_a_tasks_own_memory_is_in_bytes() -> None:
    containers = [bash(memory=100, cpu_units=512, disk_use=5), bash(name="b", memory=20, cpu_units=1, disk_use=5)]

    definition = good(memory=10 * 1_048_576 + 1, containers=containers)

    assert (definition.memory_mb, definition.cpu_units, definition.disk_mb) == (131, 513, 10)


def test_null_means_absent() -> None:
    check = {"name": None, "http": "http://127.0.0.1", "tcp": None, "script": None, "timeout": None, "ttl": None}

    assert good(checks=[check]).checks == [Check("task-0", http="http://127.0.0.1")]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"version": "two"}, 'tasks[0].version: must be a whole number, got "two"'),
        ({"version": True}, "tasks[0].version: must be a whole number, got true"),
        ({"version": -1}, "tasks[0].version: must be from 0 to 2147483647, got -1"),
        ({"name": "a b"}, "tasks[0].name: must start with a letter or digit"),
        ({"name": 5}, "tasks[0].name: must be text, got 5"),
        ({"name": None}, "tasks[0].name: is missing"),
        ({"containers": []}, "tasks[0].containers: is missing; a task needs at least one container"),
        ({"containers": {"a": 1}}, "tasks[0].containers.a: is not a known key"),
        ({"containers": "x"}, 'tasks[0].containers: must be a list, got "x"'),
        ({"containers": ["x"]}, 'tasks[0].containers[0]: must be a mapping, got "x"'),
        ({"provide_prot": True}, "tasks[0].provide_prot: is not a known key; did you mean provide_port?"),
        ({"provide_port": "yes"}, 'tasks[0].provide_port: must be true or false, got "yes"'),
        ({"port": 70000}, "tasks[0].port: must be from 0 to 65535, got 70000"),
        ({"grace_period": "3 parsecs"}, "tasks[0].grace_period: must be a duration such as 10s or 1m30s"),
        ({"tags": [1]}, "tasks[0].tags[0]: must be text, got 1"),
        ({"tags": {"a": 1}}, "tasks[0].tags: must be a text or a list of texts"),
        ({"checks": [{}]}, "tasks[0].checks[0]: has none of http, tcp and script; a check needs exactly one"),
        ({"checks": [{"http": "x", "tcp": "y"}]}, "tasks[0].checks[0]: has http and tcp; a check needs exactly one"),
        ({"checks": [{"docker": "x"}]}, "tasks[0].checks[0].docker: checks inside a container are not available yet"),
        ({"checks": [{"http": "h:$nope"}]}, "tasks[0].checks: check task-0 speaks of $nope, which is no port"),
        ({"containers": [bash(type="bosh")]}, 'containers[0].type: must be one of bash, docker, got "bosh"'),
        ({"containers": [bash(type=None)]}, "containers[0].type: is missing; one of bash, docker"),
        ({"containers": [bash(executor=None)]}, "containers[0].executor: is missing"),
        ({"containers": [bash(executor={})]}, "containers[0].executor.start: is missing; give the command to run"),
        ({"containers": [bash(executor={"start": 5})]}, "executor.start: must be a text or a list of texts, got 5"),
        ({"containers": [bash(executor={"start": "x", "artifact": "u"})]}, "executor.artifact: downloads are not"),
        ({"containers": [bash(executor={"start": "x", "env": ["A"]})]}, 'executor.env[0]: must be NAME=value, got "A"'),
        ({"containers": [bash(executor={"start": "x", "ports": [0]})]}, "executor.ports[0]: must be a port from 1"),
        ({"containers": [docker({"image": None})]}, "containers[0].executor.image: is missing"),
        ({"containers": [docker({"ports": ["80"]})]}, 'executor.ports[0]: must be HOST:CONTAINER, got "80"'),
        ({"containers": [bash(), bash()]}, "tasks[0].containers: the name main appears twice"),
        ({"containers": [bash(ports=[{"name": "a-b"}])]}, "containers[0].ports[0].name: must hold only letters"),
        ({"containers": [bash(ports=[{"name": "p"}, {"name": "p"}])]}, "tasks[0].ports: the name p appears twice"),
        ({"port": 1, "containers": [bash(port=2)]}, "tasks[0].provide_port: is given more than once"),
    ],
)
def test_a_fault_is_told_with_its_path(fields: dict[str, Any], fault: str) -> None:
    faults = faults_of(**fields)

    assert any(fault in one for one in faults), faults


def test_every_fault_is_told_at_once() -> None:
    faults = faults_of(version="x", naem="y", checks=[{}], containers=[bash(executor={"strat": "a"})])

    assert [fault.split(": ")[0] for fault in faults] == [
        "tasks[0].version",
        "tasks[0].containers[0].executor.start",
        "tasks[0].containers[0].executor.strat",
        "tasks[0].checks[0]",
        "tasks[0].naem",
    ]


def test_what_is_no_mapping_has_one_fault() -> None:
    faults: list[Fault] = []

    read_task_definition(["web"], "tasks[0]", faults)

    assert [str(fault) for fault in faults] == ['tasks[0]: must be a mapping, got ["web"]']
