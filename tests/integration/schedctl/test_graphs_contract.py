"""schedctl's view of graphs against the real API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from graphs.core.cancelling import Told
from graphs.models import Component, Graph
from workers.testing import FakeAgents, Ran

Run = Callable[..., Result]


def command(name: str, argv: list[str]) -> dict[str, Any]:
    return {
        "_component": "command",
        "_component_id": f"command::{name}",
        "_action": "create",
        "_provider": "command",
        "argv": argv,
    }


@pytest.fixture
def mapping() -> bytes:
    """Two commands, one after the other."""
    edges = [("start", "command::a"), ("command::a", "command::b"), ("command::b", "end")]
    document = {
        "id": "g1",
        "name": "two",
        "action": "build.create",
        "changes": [command("a", ["echo", "a"]), command("b", ["false"])],
        "edges": [{"source": source, "destination": destination} for source, destination in edges],
    }
    return json.dumps(document).encode()


def states(shown: str) -> list[str]:
    """The lines of a watched graph without their times."""
    return [line.split(" ", 1)[1] if line[2:3] == ":" else line for line in shown.splitlines()]


def test_submit_wait_shows_the_components_change(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    result = schedctl("graphs", "submit", "--wait", "-", stdin=mapping)
    shown = states(result.stdout)
    assert result.exit_code == 0
    assert shown.index("command::a completed") < shown.index("command::b completed")
    assert shown[-1] == "graph g1 completed"


def test_a_failing_component_fails_the_wait_with_its_reason(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    agents.run = lambda order: Ran(exit_code=int(order.argv == ["false"]))
    assert schedctl("graphs", "submit", "-", stdin=mapping).exit_code == 0
    result = schedctl("graphs", "watch", "g1")
    assert result.exit_code == 1
    assert any(line.startswith("command::b errored: ") for line in states(result.stdout))


def test_a_graph_is_listed_shown_and_drawn(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    schedctl("graphs", "submit", "-", stdin=mapping)
    assert "g1 |two  |build.create |" in schedctl("graphs", "ls").stdout
    assert "|command  |create |" in schedctl("graphs", "get", "g1").stdout
    assert json.loads(schedctl("graphs", "get", "--mapping", "g1").stdout)["id"] == "g1"
    assert schedctl("graphs", "dot", "g1").stdout.startswith("digraph")


def test_a_plan_names_the_order_and_stores_nothing(schedctl: Run, mapping: bytes) -> None:
    plan = schedctl("graphs", "plan", "-", stdin=mapping)
    assert plan.stdout == (
        "level |components\n1     |command::a\n2     |command::b\nlongest chain: command::a → command::b\n2 to create\n"
    )
    assert schedctl("graphs", "get", "g1").exit_code == 3


def test_a_difference_is_shown_submitted_and_then_gone(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    agents.run = lambda order: Ran(exit_code=0)
    shown = schedctl("graphs", "diff", "--submit", "--wait", "-", stdin=mapping)
    assert (shown.exit_code, "create  command::a\n" in shown.stdout) == (0, True)
    again = schedctl("graphs", "diff", "--against", "g1", "-", stdin=mapping)
    assert again.stdout == "2 unchanged\n"


def test_every_fault_of_a_mapping_is_told_with_its_path(schedctl: Run) -> None:
    faulty = {"id": "g2", "action": "build.create", "changes": [{"_component_id": "command::a"}], "edges": "none"}
    result = schedctl("graphs", "submit", "-", stdin=json.dumps(faulty).encode())
    assert (result.exit_code, "  changes[0]" in result.stderr, "  edges" in result.stderr) == (1, True, True)


def test_a_graph_is_cancelled(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    agents.run = lambda order: Ran(holds=True)
    schedctl("graphs", "submit", "-", stdin=mapping)
    assert schedctl("graphs", "cancel", "g1").stdout == "g1 cancelling\n"
    assert "graph g1 cancelled" in schedctl("graphs", "watch", "g1").stdout


def test_a_component_is_shown_with_what_was_sent(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    agents.run = lambda order: Ran(exit_code=1)
    schedctl("graphs", "submit", "--wait", "-", stdin=mapping)
    component = Component.objects.changes().filter(state="errored").first()
    assert component is not None

    shown = schedctl("graphs", "get", "g1", component.component_id).stdout
    assert "number|outcome" in shown.replace(" ", "")
    assert "attempt 1 was sent" in shown
    whole = json.loads(schedctl("graphs", "get", "-o", "json", "g1", component.component_id).stdout)
    assert whole["attempts"][0]["sent"]["_component_id"] == component.component_id


@pytest.mark.parametrize(("option", "told"), [("--tell", Told.EVERYBODY), ("--quietly", Told.NOBODY)])
def test_a_cancel_tells_whom_its_option_says(
    schedctl: Run, agents: FakeAgents, mapping: bytes, option: str, told: Told
) -> None:
    agents.run = lambda order: Ran(holds=True)
    schedctl("graphs", "submit", "-", stdin=mapping)
    assert schedctl("graphs", "cancel", option, "g1").exit_code == 0
    assert Graph.objects.get().cancel_told == told


def test_another_mapping_under_a_taken_id_is_a_conflict(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    schedctl("graphs", "submit", "-", stdin=mapping)
    assert schedctl("graphs", "submit", "-", stdin=mapping.replace(b"echo", b"date")).exit_code == 5


def test_a_graph_is_paused_resumed_and_told_why(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    agents.run = lambda order: Ran(exit_code=int(order.argv == ["false"]))
    schedctl("graphs", "submit", "-", stdin=mapping)
    assert schedctl("graphs", "pause", "g1").stdout == "g1 paused\n"
    told = schedctl("why", "graph:g1/command::b").stdout
    assert told.startswith("command::b waiting: it waits for command::a (waiting); and the graph is paused since ")
    assert "in the end for" in told
    assert schedctl("graphs", "unpause", "g1").stdout == "g1 goes on\n"

    assert schedctl("graphs", "watch", "g1").exit_code == 1
    assert "command::b   |errored |waiting |resumed" in schedctl("graphs", "resume", "--preview", "g1").stdout
    agents.run = lambda order: Ran()
    assert schedctl("graphs", "resume", "g1").stdout == "g1 resumed\n"
    assert schedctl("graphs", "watch", "g1").exit_code == 0
    assert schedctl("graphs", "resume", "g1").exit_code == 5
    assert schedctl("graphs", "pause", "g1").exit_code == 5


def test_components_are_retried_skipped_and_marked(schedctl: Run, agents: FakeAgents, mapping: bytes) -> None:
    agents.run = lambda order: Ran(exit_code=int(order.argv == ["false"]))
    schedctl("graphs", "submit", "--wait", "-", stdin=mapping)
    shown = schedctl("graphs", "retry", "--preview", "g1", "command::a").stdout
    assert [line.split(" ")[0] for line in shown.splitlines()[1:]] == ["command::a", "command::b"]
    assert schedctl("graphs", "retry", "g1", "command::a").stdout == "command::a is done again\n"
    refused = schedctl("graphs", "retry", "--preview", "g1", "command::none")
    assert refused.exit_code == 3

    skipped = schedctl("graphs", "skip", "g1", "command::b", "--reason", "not today").stdout
    assert skipped.startswith("command::b skipped: skipped by hand, by operator-")
    assert schedctl("graphs", "watch", "g1").exit_code == 0
    assert schedctl("graphs", "mark", "g1", "command::a", "errored").exit_code == 5
    assert schedctl("graphs", "why", "g1", "command::b", "-o", "json").exit_code == 0


def test_an_approval_is_given_and_refused(schedctl: Run, agents: FakeAgents) -> None:
    ask = {"_component": "ask", "_component_id": "ask::go", "_action": "approve", "_provider": "approval"}
    for verb, state in (("approve", "completed"), ("reject", "errored")):
        edges = [{"source": "start", "destination": "ask::go"}]
        schedctl("graphs", "submit", "-", stdin=json.dumps({"id": verb, "changes": [ask], "edges": edges}).encode())
        schedctl("graphs", "watch", verb, "--timeout", "2")
        assert "waits for the approval of somebody" in schedctl("why", f"graph:{verb}/ask::go").stdout
        told = schedctl("graphs", verb, verb, "ask::go", "--comment", "as agreed").stdout
        assert told.startswith(f"ask::go {state}: ")
        assert told.endswith(": as agreed\n")


@pytest.mark.parametrize("thing", ["g1/a", "graph:g1", "host:a/b"])
def test_why_wants_a_component_of_a_graph(schedctl: Run, thing: str) -> None:
    assert schedctl("why", thing).exit_code == 2
