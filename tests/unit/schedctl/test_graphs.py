"""`schedctl graphs`: submitting builds and watching them."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import Result

from schedctl.main import cli
from schedctl.watching import Board, board
from tests.support.scheduler_twin import Reply, Twin, answer, problem

Run = Callable[..., Result]
G1 = {"id": "g1", "name": "web", "action": "create", "state": "running", "reason": "", "counts": {"running": 1}}
CLOCK = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)


def component(name: str, state: str, reason: str = "") -> dict[str, Any]:
    return {
        "component_id": name,
        "state": state,
        "reason": reason,
        "provider": "nats",
        "action": "create",
        "attempt": 1,
    }


def listed(*items: dict[str, Any]) -> Reply:
    return answer({"items": list(items), "next": ""})


def goes(twin: Twin, end: str, reason: str = "") -> None:
    """Graph g1 runs one component after the other and ends so."""
    twin.on("POST /graphs", answer(G1, 201))
    twin.on(
        "GET /graphs/g1", answer(G1), answer(G1), answer({**G1, "state": end, "reason": reason, "counts": {end: 2}})
    )
    twin.on(
        "GET /graphs/g1/components",
        listed(component("network::a", "running"), component("instance::b", "waiting")),
        listed(component("network::a", "completed"), component("instance::b", end, reason)),
    )


def test_ls_lists_graphs(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /graphs", listed(G1))
    assert schedctl("graphs", "ls").stdout == "id |name |action |state\ng1 |web  |create |running\n"


def test_get_shows_the_graph_and_its_components(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /graphs/g1", answer(G1))
    twin.on("GET /graphs/g1/components", listed(component("network::a", "running")))
    shown = schedctl("graphs", "get", "g1").stdout
    assert "state  |running\n" in shown
    assert "network::a   |nats     |create |running |1\n" in shown


def test_get_as_json_holds_the_components(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /graphs/g1", answer(G1))
    twin.on("GET /graphs/g1/components", listed(component("network::a", "running")))
    shown = json.loads(schedctl("graphs", "get", "g1", "-o", "json").stdout)
    assert shown["components"] == [component("network::a", "running")]


def test_get_mapping_prints_the_whole_document(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /graphs/g1/mapping", answer({"id": "g1", "components": []}))
    assert json.loads(schedctl("graphs", "get", "--mapping", "g1").stdout) == {"id": "g1", "components": []}


def test_submit_sends_the_mapping_as_it_is(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /graphs", answer(G1, 201))
    document = {"id": "g1", "changes": [{"_component_id": "command::a", "on": "host-a", "n": 1.5}]}
    result = schedctl("graphs", "submit", "-", stdin=json.dumps(document).encode())
    assert twin.asked[0].document == document
    assert "g1 |web  |create |running" in result.stdout


def test_submit_reads_yaml_whose_keys_look_like_booleans(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /graphs", answer(G1, 201))
    schedctl("graphs", "submit", "-", stdin=b"changes:\n- on: host-a")
    assert twin.asked[0].document == {"changes": [{"on": "host-a"}]}


@pytest.mark.parametrize("content", ["[1]", "{", "n: .nan"])
def test_what_is_no_mapping_is_not_sent(twin: Twin, schedctl: Run, content: str) -> None:
    Path("g.yml").write_text(content)
    result = schedctl("graphs", "submit", "g.yml")
    assert (result.exit_code, twin.asked) == (1, [])


def test_submit_wait_shows_states_as_they_change(twin: Twin, schedctl: Run) -> None:
    goes(twin, "completed")
    result = schedctl("graphs", "submit", "--wait", "-", stdin=b"{id: g1}")
    assert result.exit_code == 0
    assert CLOCK.sub("", result.stdout) == (
        "network::a running\ninstance::b waiting\nnetwork::a completed\ninstance::b completed\ngraph g1 completed\n"
    )


@pytest.mark.parametrize(("end", "code"), [("errored", 1), ("cancelled", 130)])
def test_watch_fails_with_the_reason_when_the_graph_does(twin: Twin, schedctl: Run, end: str, code: int) -> None:
    goes(twin, end, "quota\nexceeded")
    result = schedctl("graphs", "watch", "g1")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (code, f"graph g1 {end}: quota exceeded")


def test_watch_at_a_terminal_keeps_only_what_went_wrong_above_its_board(
    twin: Twin, schedctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schedctl.watching.screen_of", Board)
    goes(twin, "errored", "quota")
    shown = schedctl("graphs", "watch", "g1", color=True).stdout
    assert "[........................................] 0 of 1\n" in shown
    assert "  > network::a, attempt" not in shown
    assert "  > network::a\n" in shown
    last = shown.rpartition("\033[J")[2]
    assert last == "graph g1 errored: quota\n"
    assert [line for line in shown.splitlines() if CLOCK.match(line.rpartition("\033[J")[2])] != []


def test_the_board_tells_how_far_a_graph_is_and_what_runs() -> None:
    now = datetime(2030, 1, 1, 1, 2, 3, tzinfo=UTC)
    graph = {
        "id": "g1",
        "name": "shop",
        "state": "running",
        "paused_at": "2030-01-01T01:00:00+00:00",
        "started_at": "2030-01-01T00:00:00+00:00",
        "counts": {"waiting": 5, "running": 10, "completed": 4, "errored": 1},
        "needs_attention": 1,
    }
    running = [
        {"component_id": f"vm::{n}", "started_at": "2030-01-01T01:01:00+00:00", "attempt": n + 1} for n in range(10)
    ]
    assert list(board(graph, running, now)) == [
        "graph shop running, paused 1:02:03",
        f"[{'#' * 10}{'.' * 30}] 5 of 20",
        "5 waiting  10 running  4 completed  1 errored  1 in need of attention",
        "  > vm::0 1:03",
        *(f"  > vm::{n} 1:03, attempt {n + 1}" for n in range(1, 8)),
        "  > and 2 more",
    ]


def test_ls_narrows_the_list(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /graphs", listed(G1))
    schedctl("graphs", "ls", "--state", "running", "--name", "we", "--source", "http", "--attention")
    assert {"state": "running", "name": "we", "source": "http", "attention": "true"}.items() <= twin.asked[
        0
    ].query.items()


def test_ids_are_completed_by_what_the_server_knows(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDCTL_SERVER", twin.url)
    twin.on("GET /graphs", listed(G1, {**G1, "id": "other"}))
    twin.on("GET /graphs/g1/components", answer([component("network::a", "running"), component("vm::b", "waiting")]))
    complete = ShellComplete(cli, {}, "schedctl", "_COMPLETE").get_completions
    assert [(one.value, one.help) for one in complete(["graphs", "watch"], "g")] == [("g1", "web running")]
    assert [one.value for one in complete(["graphs", "why", "g1"], "net")] == ["network::a"]


def test_completion_is_silent_where_no_server_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCHEDCTL_SERVER", "http://127.0.0.1:1")
    assert ShellComplete(cli, {}, "schedctl", "_COMPLETE").get_completions(["graphs", "watch"], "g") == []
    assert capsys.readouterr() == ("", "")


def test_watch_gives_up_at_its_time_limit(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /graphs/g1", answer(G1))
    twin.on("GET /graphs/g1/components", listed())
    assert schedctl("graphs", "watch", "--timeout", "50ms", "g1").exit_code == 124


def test_watch_of_an_unknown_graph_ends_at_once(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /graphs/g1", problem(404, "there is no graph g1"))
    assert schedctl("graphs", "watch", "g1").exit_code == 3


def planned(**fields: Any) -> dict[str, Any]:
    chain: dict[str, Any] = {"components": [], "duration_s": None}
    plan = {"levels": [], "counts_by_verb": {}, "done": 0, "in_flight": 0, "critical_path": chain, "templates": []}
    return plan | fields


def test_plan_prints_the_order_by_level(twin: Twin, schedctl: Run) -> None:
    levels = [["network::a", "network::b"], ["instance::c"]]
    twin.on("POST /graphs/plan", answer(planned(levels=levels, counts_by_verb={"create": 2, "delete": 1})))
    assert schedctl("graphs", "plan", "-", stdin=b"{id: g1}").stdout == (
        "level |components\n1     |network::a network::b\n2     |instance::c\n2 to create, 1 to delete\n"
    )
    assert json.loads(schedctl("graphs", "plan", "-", "-o", "json", stdin=b"{id: g1}").stdout)["levels"] == levels


def test_plan_tells_the_longest_chain_what_is_read_and_what_is_done(twin: Twin, schedctl: Run) -> None:
    chain = {"components": ["vpc::a", "network::b"], "duration_s": 12.34}
    reading = {"component_id": "network::b", "path": "changes[1].vpc", "template": "$(components.0.n)", "reads": ""}
    plan = planned(critical_path=chain, templates=[reading], done=3, in_flight=1)
    twin.on("POST /graphs/plan", answer(plan))
    assert schedctl("graphs", "plan", "-", stdin=b"{id: g1}").stdout.splitlines()[1:] == [
        "longest chain (about 12.3 s): vpc::a → network::b",
        "changes[1].vpc reads $(components.0.n)",
        "3 done already, 1 in flight",
        "nothing to do",
    ]


def test_a_long_plan_is_shown_shortened(twin: Twin, schedctl: Run) -> None:
    chain = {"components": [f"c{n}" for n in range(100)], "duration_s": None}
    reading = {"component_id": "c", "path": "changes[1].vpc", "template": "$(components.0.n)", "reads": ""}
    twin.on("POST /graphs/plan", answer(planned(critical_path=chain, templates=[reading] * 25)))
    shown = schedctl("graphs", "plan", "-", stdin=b"{id: g1}").stdout
    assert "c9 → 80 more → c90" in shown
    assert "and 5 more templates; -o json shows all" in shown


DIFF = {
    "changelog": [
        {"type": "update", "path": ["w1", "tags", "a"], "from": 1, "to": "x" * 80},
        {"type": "delete", "path": ["w2"], "from": None, "to": None},
    ],
    "counts_by_verb": {"delete": 1, "update": 1},
    "unchanged": 4,
    "mapping": {"id": "g1"},
}


def test_diff_shows_what_changes_from_what_to_what(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /graphs/diff", answer(DIFF))
    assert schedctl("graphs", "diff", "--against", "g0", "-", stdin=b"{id: g1}").stdout == (
        f'update  w1 tags.a: 1 → "{"x" * 59}…\ndelete  w2\n1 to delete, 1 to update, 4 unchanged\n'
    )
    assert twin.asked[0].document == {"wanted": {"id": "g1"}, "against": "g0"}
    assert json.loads(schedctl("graphs", "diff", "-", "-o", "json", stdin=b"{id: g1}").stdout) == DIFF


def test_diff_compares_with_a_file_by_rules_of_ones_own(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /graphs/diff", answer(DIFF))
    Path("last.json").write_text('{"id": "g0"}')
    schedctl("graphs", "diff", "--replace", "--group-tag", "set", "--against", "last.json", "-", stdin=b"{id: g1}")
    assert twin.asked[0].document == {
        "wanted": {"id": "g1"},
        "against": {"id": "g0"},
        "on_immutable": "replace",
        "group_tag": "set",
    }


def test_diff_can_submit_what_it_found_and_wait_for_it(twin: Twin, schedctl: Run) -> None:
    goes(twin, "completed")
    twin.on("POST /graphs/diff", answer(DIFF))
    assert "g1 |web" in schedctl("graphs", "diff", "--submit", "-", stdin=b"{id: g1}").stdout
    assert twin.calls("POST /graphs")[0].document == {"id": "g1"}
    waited = schedctl("graphs", "diff", "--submit", "--wait", "-", stdin=b"{id: g1}")
    assert waited.stdout.endswith("graph g1 completed\n")


def test_components_are_asked_for_only_when_their_states_have_changed(twin: Twin, schedctl: Run) -> None:
    goes(twin, "completed")
    schedctl("graphs", "watch", "g1")
    assert len(twin.calls("GET /graphs/g1/components")) < len(twin.calls("GET /graphs/g1"))


def test_cancel_and_dot(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /graphs/g1/cancel", answer(G1))
    twin.on("GET /graphs/g1/dot", Reply(200, "digraph { ä }".encode(), {"Content-Type": "text/plain"}))
    assert schedctl("graphs", "cancel", "g1").stdout == "g1 cancelling\n"
    assert schedctl("graphs", "dot", "g1").stdout == "digraph { ä }\n"
    schedctl("graphs", "dot", "--colour", "g1")
    assert twin.asked[-1].query == {"colour": "true"}
