"""`manage.py apply` and `POST /api/v1/apply`: all or nothing, with every fault in its place."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from clusters.models import Cluster, Service, Task, TaskDefinition
from scheduler_project.models import Event
from tests.support.clients import client_of

pytestmark = pytest.mark.django_db
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "cluster.yml"


def apply(*arguments: str) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of standard output and of standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        call_command("apply", *arguments, stdout=out, stderr=err, skip_checks=True)
    except CommandError as error:
        code = error.returncode
        err.write(str(error))
    return code, out.getvalue().splitlines(), err.getvalue().splitlines()


def post(client: Client, text: str, query: str = "") -> Any:
    return client.post(f"/api/v1/apply{query}", text, content_type="application/yaml")


def test_the_example_is_created_and_then_unchanged() -> None:
    first = apply(str(EXAMPLE))
    events = Event.objects.count()
    second = apply(str(EXAMPLE))

    assert first == (
        0,
        [
            "task_definition hello 1: created",
            "task_definition status 1: created",
            "service web: created",
            "service api: created",
            "cluster demo: created",
        ],
        [],
    )
    assert second[0] == 0
    assert all(line.endswith(": unchanged") for line in second[1])
    assert Event.objects.count() == events


def test_faults_are_told_all_at_once_with_file_and_path_and_nothing_is_written(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("desired: 3", "desierd: 3", 1).replace("task_version: 1", "task_version: two", 1)
    file = tmp_path / "broken.yml"
    file.write_text(text.replace("[web, api]", "[web, apo]"))

    code, lines, errors = apply(str(file))

    assert code == 1
    assert errors == [
        f"{file}: services[0].desired: is missing",
        f'{file}: services[0].task_version: must be a whole number, got "two"',
        f"{file}: services[0].desierd: is not a known key; did you mean desired?",
        f"{file}: clusters[0].services[1]: there is no service apo; did you mean api?",
        "nothing was applied",
    ]
    assert "service web: refused: is missing" in lines[2]
    assert not Cluster.objects.exists()
    assert not TaskDefinition.objects.exists()


def test_plan_tells_and_writes_nothing() -> None:
    code, lines, _ = apply("--plan", str(EXAMPLE))

    assert (code, lines[2]) == (0, "service web: created")
    assert not Service.objects.exists()


def test_objects_may_be_spread_over_files_and_stand_alone(tmp_path: Path) -> None:
    task, service, cluster = tmp_path / "task.yml", tmp_path / "service.json", tmp_path / "cluster.yml"
    task.write_text("name: hello\nversion: 1\ncontainers: [{type: bash, executor: {start: serve}}]\n")
    service.write_text(json.dumps({"name": "web", "task_name": "hello", "task_version": 1, "desired": 1}))
    cluster.write_text("name: demo\nservices: [web]\n")

    assert apply(str(cluster), str(service), str(task))[0] == 0
    assert Service.objects.get().cluster == Cluster.objects.get()


def test_a_fault_in_a_bare_object_or_a_single_one_has_its_own_path(tmp_path: Path) -> None:
    bare, single = tmp_path / "task.yml", tmp_path / "single.yml"
    bare.write_text("name: hello\nversion: x\ncontainers: [{type: bash, executor: {start: serve}}]\n")
    single.write_text("service: {name: web, task_name: hello, task_version: 1, desired: x}\n")

    errors = apply(str(bare), str(single))[2]

    assert f'{bare}: version: must be a whole number, got "x"' in errors
    assert f'{single}: service.desired: must be a whole number, got "x"' in errors


def test_one_broken_file_refuses_the_good_ones(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text("clusters:\n  - name: [\n")

    code, _, errors = apply(str(EXAMPLE), str(broken))

    assert code == 1
    assert errors[0].startswith(f"{broken}: line 3 column 1: is not valid YAML")
    assert not Service.objects.exists()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("clutsers: []\n", "clutsers: is not a known key; did you mean clusters?"),
        ("clusters: demo\n", "clusters: must be a list"),
        ("- a\n", "must be a mapping with some of these keys: clusters"),
        ("", "must be a mapping with some of these keys: clusters"),
        ("clusters: []\nclusters: []\n", "the key 'clusters' is already given on line 1"),
    ],
)
def test_what_is_no_document_of_ours_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "file.yml"
    file.write_text(text)

    code, _, errors = apply(str(file))

    assert code == 1
    assert fault in errors[0]


def test_a_file_that_is_not_there_is_one_clear_line() -> None:
    assert apply("/nowhere.yml") == (1, [], ["/nowhere.yml: cannot be read: No such file or directory"])


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(EXAMPLE.read_bytes())))

    assert apply("-")[0] == 0


def test_waiting_ends_with_124_and_the_reason_when_nothing_runs_in_time() -> None:
    code, lines, errors = apply("--wait", "0.1", str(EXAMPLE))

    assert code == 124
    assert lines[-1] == "api 0/2 running, web 0/3 running"
    assert errors[0].startswith("not as desired within 0.1 s: api has 0 of 2 running")


def run_everything() -> None:
    """As many running tasks as desired for each service, as agents would report them."""
    for service in Service.objects.select_related("cluster", "definition"):
        assert service.cluster is not None
        Task.objects.bulk_create(
            Task(
                id=f"{service.name}-{number}",
                name=f"demo-{service.name}-1-{number}",
                cluster=service.cluster,
                service=service,
                definition=service.definition,
                instance=number,
                state="running",
                issued_at=timezone.now(),
            )
            for number in range(service.desired)
        )
    Service.objects.update(reason="")


def test_waiting_is_over_as_soon_as_all_services_run() -> None:
    apply(str(EXAMPLE))
    run_everything()

    code, lines, _ = apply("--wait", "5", str(EXAMPLE))

    assert (code, lines[-1]) == (0, "api 2/2 running, web 3/3 running")


def test_waiting_is_not_over_while_the_old_version_still_runs(tmp_path: Path) -> None:
    apply(str(EXAMPLE))
    run_everything()
    newer = tmp_path / "newer.yml"
    newer.write_text(EXAMPLE.read_text().replace("version: 1", "version: 2"))

    code, _, errors = apply("--wait", "0.1", str(newer))

    assert code == 124
    assert "web has 3 of 3 running, but just changed; the next tick decides" in errors[0]


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("apply", "--help")

    assert "python manage.py apply --wait 60 examples/cluster.yml" in capsys.readouterr().out


def test_an_operator_applies_over_http() -> None:
    operator = client_of("operator")

    planned = post(operator, EXAMPLE.read_text(), "?plan=1").json()
    applied = post(operator, EXAMPLE.read_text()).json()

    assert (planned["applied"], applied["applied"]) == (False, True)
    assert planned["changes"] == applied["changes"]
    assert applied["changes"][4] == {"kind": "cluster", "name": "demo", "action": "created", "detail": ""}
    assert Service.objects.count() == 2


def test_faults_over_http_are_a_problem_with_their_paths() -> None:
    answer = post(client_of("operator"), "clusters: [{name: demo, services: [web]}]")

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"path": "clusters[0].services[0]", "message": "there is no service web; known: none"}
    ]


def test_a_viewer_may_not_apply() -> None:
    assert post(client_of("viewer"), EXAMPLE.read_text()).status_code == 403
    assert post(Client(), EXAMPLE.read_text()).status_code == 401
