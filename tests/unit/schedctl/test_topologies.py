"""`schedctl topologies` and `runs`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.scheduler_twin import Reply, Twin, answer

Run = Callable[..., Result]
NIGHTLY = {
    "name": "nightly",
    "state": "active",
    "cron": "0 0 2 * * ?",
    "next_run_at": "2026-01-02T02:00:00Z",
    "last_run": None,
}
R1 = {"id": "r1", "topology": "nightly", "state": "running", "started_at": "t0", "ended_at": None, "graph": "g1"}


@pytest.fixture
def file() -> str:
    Path("t.yml").write_text("name: nightly\ntrigger: {cron: '0 0 2 * * ?'}\n")
    return "t.yml"


def test_ls_shows_when_each_runs_next_and_how_it_ended(twin: Twin, schedctl: Run) -> None:
    items = [NIGHTLY, {**NIGHTLY, "name": "hourly", "last_run": {**R1, "state": "failed"}}]
    twin.on("GET /topologies", answer({"items": items, "next": ""}))
    assert schedctl("topologies", "ls").stdout == (
        "name    |state  |cron        |next_run_at          |last_run\n"
        "hourly  |active |0 0 2 * * ? |2026-01-02T02:00:00Z |failed\n"
        "nightly |active |0 0 2 * * ? |2026-01-02T02:00:00Z |\n"
    )


def test_create_and_update_send_the_document(twin: Twin, schedctl: Run, file: str) -> None:
    twin.on("POST /topologies", answer(NIGHTLY, 201))
    twin.on("PUT /topologies/nightly", answer(NIGHTLY))
    assert schedctl("topologies", "create", file).stdout == "nightly created\n"
    assert schedctl("topologies", "update", file).stdout == "nightly updated\n"
    assert twin.asked[0].document == twin.asked[1].document == {"name": "nightly", "trigger": {"cron": "0 0 2 * * ?"}}


def test_a_file_may_hold_several_under_topologies(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /topologies", answer({**NIGHTLY, "name": "a"}, 201), answer({**NIGHTLY, "name": "b"}, 201))
    made = schedctl("topologies", "create", "-", stdin=b"topologies: [{name: a}, {name: b}]")
    assert made.stdout == "a created\nb created\n"
    assert [asked.document for asked in twin.asked] == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"{cron: x}", "-: name: is missing"),
        (b"topologies: [{name: a}, {}]", "-: topologies[1].name: is missing"),
        (b"topologies: {name: a}", "-: topologies: must be a list, not a mapping"),
    ],
)
def test_every_topology_of_a_file_needs_a_name(twin: Twin, schedctl: Run, text: bytes, fault: str) -> None:
    result = schedctl("topologies", "update", "-", stdin=text)
    assert (result.exit_code, fault in result.stderr, twin.asked) == (1, True, [])


@pytest.mark.parametrize(
    ("verb", "said"), [("pause", "nightly paused"), ("unpause", "nightly active"), ("run", "r1 |nightly  |running")]
)
def test_verbs_act_on_the_topology(twin: Twin, schedctl: Run, verb: str, said: str) -> None:
    twin.on(f"POST /topologies/nightly/{verb}", answer(R1 if verb == "run" else NIGHTLY))
    assert said in schedctl("topologies", verb, "nightly").stdout


@pytest.mark.parametrize(("end", "exit_code"), [("completed", 0), ("successful", 0), ("failed", 1), ("cancelled", 1)])
def test_run_wait_ends_as_the_run_does(twin: Twin, schedctl: Run, end: str, exit_code: int) -> None:
    twin.on("POST /topologies/nightly/run", answer(R1, 201))
    twin.on("GET /runs/r1", answer(R1), answer({**R1, "state": end}))
    result = schedctl("topologies", "run", "--wait", "nightly")
    assert (result.exit_code, end in result.stdout) == (exit_code, True)


def test_next_prints_the_times(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /topologies/nightly/next", answer({"items": ["2026-01-02T02:00:00Z", "2026-01-03T02:00:00Z"]}))
    result = schedctl("topologies", "next", "--count", "2", "nightly")
    assert result.stdout == "2026-01-02T02:00:00Z\n2026-01-03T02:00:00Z\n"
    assert twin.asked[0].query == {"count": "2"}


def test_get_and_rm(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /topologies/nightly", answer({"name": "nightly"}))
    twin.on("DELETE /topologies/nightly", Reply(204))
    assert schedctl("topologies", "get", "nightly").stdout == "name |nightly\n"
    assert schedctl("topologies", "rm", "nightly").stdout == "nightly removed\n"


def test_runs_are_listed_shown_and_killed(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /runs", answer({"items": [R1], "next": ""}))
    twin.on("GET /runs/r1", answer({"id": "r1"}))
    twin.on("POST /runs/r1/kill", answer(R1))
    assert "r1 |nightly  |running |t0         |\n" in schedctl("runs", "ls", "--topology", "nightly").stdout
    assert twin.asked[0].query["topology"] == "nightly"
    assert schedctl("runs", "get", "r1").stdout == "id |r1\n"
    assert schedctl("runs", "kill", "r1").stdout == "r1 stopping\n"


def test_logs_show_what_each_command_of_a_run_wrote(twin: Twin, schedctl: Run) -> None:
    changes = [
        {"_component_id": "command::a", "stdout": "one\ntwo\n"},
        {"_component_id": "command::b", "stdout": ""},
        {"_component_id": "command::c"},
    ]
    twin.on("GET /runs/r1", answer(R1))
    twin.on("GET /graphs/g1/mapping", answer({"changes": changes}))
    assert schedctl("runs", "logs", "r1").stdout == "command::a | one\ncommand::a | two\n"


def test_a_run_without_a_graph_has_no_logs(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /runs/r1", answer({**R1, "state": "skipped", "graph": None}))
    assert (schedctl("runs", "logs", "r1").exit_code, len(twin.asked)) == (0, 1)
