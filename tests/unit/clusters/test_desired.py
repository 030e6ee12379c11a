"""What applying a document means, compared with what is known."""

from typing import Any

import pytest

from clusters.core.desired import Known, plan, read
from clusters.core.document import Cluster, Service
from clusters.core.task_grammar import read_task_definition
from scheduler_project.toolkit.changes import Change

TASK = {"name": "hello", "version": 1, "containers": [{"name": "c", "type": "bash", "executor": {"start": "serve"}}]}
SERVICE = {"name": "web", "task_name": "hello", "task_version": 1, "desired": 3, "min": 2, "max": 4}
CLUSTER = {"name": "demo", "services": ["web"]}
FILE: dict[str, Any] = {"clusters": [CLUSTER], "services": [SERVICE], "tasks": [TASK]}
KNOWN = Known(
    definitions={("hello", 1): read_task_definition(TASK, "", [])},
    services={"web": Service("web", "hello", 1, 3, 2, 4)},
    clusters={"demo": Cluster("demo", ("web",))},
)


def changes(document: dict[str, Any], known: Known = Known()) -> list[Change]:  # noqa: B008
    return plan(read(document), known)


def told(document: dict[str, Any], known: Known = Known()) -> list[str]:  # noqa: B008
    return [str(change) for change in changes(document, known)]


def faults(document: dict[str, Any], known: Known = Known()) -> list[str]:  # noqa: B008
    return [str(fault) for change in changes(document, known) for fault in change.faults]


def with_service(**fields: Any) -> dict[str, Any]:
    return FILE | {"services": [{key: value for key, value in (SERVICE | fields).items() if value is not None}]}


def test_a_first_apply_creates_definitions_then_services_then_clusters() -> None:
    assert told(FILE) == ["task_definition hello 1: created", "service web: created", "cluster demo: created"]


def test_a_second_apply_changes_nothing() -> None:
    assert {change.action for change in changes(FILE, KNOWN)} == {"unchanged"}


def test_a_change_names_the_fields() -> None:
    assert told(with_service(desired=4), KNOWN)[1] == "service web: changed (desired 3 → 4)"


def test_a_service_taken_off_the_list_is_a_change_of_the_cluster() -> None:
    assert told({"clusters": [{"name": "demo"}]}, KNOWN) == ["cluster demo: changed (services [web] → [])"]


def test_a_definition_never_changes() -> None:
    document = {"tasks": [TASK | {"grace_period": "5s"}]}

    assert faults(document, KNOWN) == [
        "tasks[0].version: hello 1 already exists with other content (differs in grace_period_s); raise version"
    ]


def test_services_and_deployments_and_both_names_of_definitions_mean_the_same() -> None:
    document = {
        "clusters": [{"name": "demo", "deployments": ["web"]}],
        "deployments": [SERVICE],
        "task_definitions": [TASK],
    }

    assert {change.action for change in changes(document, KNOWN)} == {"unchanged"}


def test_count_is_an_old_name_of_desired() -> None:
    assert changes(with_service(desired=None, count=3), KNOWN)[1].action == "unchanged"


def test_an_upgrade_goes_on_smoothly_where_min_and_max_are_not_given() -> None:
    service = changes(with_service(min=None, max=None))[1].value

    assert (service.min, service.desired, service.max) == (2, 3, 4)


@pytest.mark.parametrize(("scheduler", "placement"), [("", ""), ("default", ""), ("spread", "spread")])
def test_fault_13_every_historical_scheduler_is_accepted(scheduler: str, placement: str) -> None:
    assert changes(with_service(scheduler=scheduler))[1].value.placement == placement


def test_keys_without_effect_are_told() -> None:
    document = FILE | {"clusters": [CLUSTER | {"datacenter": "dc1", "hosts": ["a"]}]}

    assert told(document)[2] == "cluster demo: created (without effect: hosts, datacenter)"


def test_a_discovery_service_is_told_to_be_without_effect() -> None:
    discovery = {"name": "find", "cluster": "demo", "deployment": "web", "container": "c", "port_name": "main"}

    (change,) = changes({"services": [discovery]})

    assert (change.kind, change.action) == ("discovery", "unchanged")
    assert "not available yet" in change.detail


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"task_version": "two"}, 'services[0].task_version: must be a whole number, got "two"'),
        ({"task_version": 7}, "services[0].task_version: there is no task hello of version 7; known versions: 1"),
        ({"task_name": "x"}, "services[0].task_name: there is no task x of version 1; no task of that name is known"),
        ({"desired": None}, "services[0].desired: is missing"),
        ({"min": 4}, "services[0].min: must be at most desired (3), got 4"),
        ({"max": 2}, "services[0].max: must be at least 3, as desired is 3; got 2"),
        ({"desired": 0, "min": 0, "max": 0}, "services[0].max: must be at least 1, as desired is 0; got 0"),
        ({"desired": -1}, "services[0].desired: must be from 0 to 100000, got -1"),
        ({"scheduler": "random"}, 'services[0].scheduler: must be one of default, spread, binpack, got "random"'),
        ({"desierd": 3}, "services[0].desierd: is not a known key; did you mean desired?"),
        ({"max_attempts": 0}, "services[0].max_attempts: must be from 1"),
        ({"name": "we/b"}, "services[0].name: must start with a letter or digit"),
    ],
)
def test_a_fault_of_a_service_is_told_with_its_path(fields: dict[str, Any], fault: str) -> None:
    found = faults(with_service(**fields))

    assert any(one.startswith(fault) for one in found), found


def test_a_listed_service_that_is_nowhere_is_a_fault_with_the_nearest_name() -> None:
    document = FILE | {"clusters": [{"name": "demo", "services": ["wbe"]}]}

    assert faults(document) == ["clusters[0].services[0]: there is no service wbe; did you mean web?"]


def test_a_listed_service_may_be_known_already() -> None:
    assert faults({"clusters": [CLUSTER]}, KNOWN) == []


def test_objects_given_twice_are_faults() -> None:
    document = {"clusters": [CLUSTER, CLUSTER], "services": [SERVICE, SERVICE], "tasks": [TASK, TASK]}

    found = faults(document)

    assert "tasks[0].name: task_definition hello 1 is given 2 times" in found
    assert "services[1].name: service web is given 2 times" in found
    assert "clusters[1].name: cluster demo is given 2 times" in found


def test_a_service_belongs_to_one_cluster() -> None:
    document = {"clusters": [{"name": "other", "services": ["web"]}]}

    assert faults(document, KNOWN) == ["clusters[0].services[0]: web already belongs to cluster demo"]


def test_a_service_may_move_when_both_clusters_say_so() -> None:
    document = {"clusters": [{"name": "demo"}, {"name": "other", "services": ["web"]}]}

    assert faults(document, KNOWN) == []


def test_names_that_would_name_tasks_alike_are_refused() -> None:
    document = {
        "tasks": [TASK],
        "services": [SERVICE | {"name": "b-c"}, SERVICE | {"name": "c"}],
        "clusters": [{"name": "a", "services": ["b-c"]}, {"name": "a-b", "services": ["c"]}],
    }

    assert faults(document)[0].endswith("b-c of a and c of a-b would name their tasks alike; rename one")


@pytest.mark.parametrize(
    ("cluster", "fault"),
    [
        ({"name": "d", "services": ["web", "web"]}, "clusters[0].services[1]: web is already listed"),
        ({"name": "d", "services": [{"name": "web"}]}, "clusters[0].services[0]: must be a service's name"),
        ({"name": "d", "services": "web"}, 'clusters[0].services: must be a list, got "web"'),
        ({"services": ["web"]}, "clusters[0].name: is missing"),
        ("demo", 'clusters[0]: must be a mapping, got "demo"'),
    ],
)
def test_a_fault_of_a_cluster_is_told_with_its_path(cluster: Any, fault: str) -> None:
    found = faults(FILE | {"clusters": [cluster]})

    assert any(one.startswith(fault) for one in found), found
