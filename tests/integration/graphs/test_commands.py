"""Components that are commands on hosts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from graphs import store
from graphs.models import Component, Graph
from scheduler_project.toolkit.errors import InvalidDocument
from workers.models import Command, CommandOutput
from workers.signals import commands_ended

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def command(component_id: str, **fields: Any) -> dict[str, Any]:
    base = {"_component": "job", "_component_id": component_id, "_action": "run", "_provider": "command"}
    return base | ({} if "argv" in fields else {"command": "true"}) | fields


def submit(*changes: dict[str, Any], edges: list[tuple[str, str]]) -> Graph:
    document = {
        "id": "b1",
        "changes": list(changes),
        "edges": [{"source": source, "destination": destination} for source, destination in edges],
    }
    graph = store.submit(document, NOW, source="topology")
    store.advance([graph.pk], NOW)
    return graph


def end(command: Command, exit_code: int | None = 0, state: str = "done", **fields: Any) -> Command:
    Command.objects.filter(pk=command.pk).update(state=state, exit_code=exit_code, ended_at=NOW, **fields)
    command.refresh_from_db()
    return command


def write(command: Command, stream: str, data: bytes, offset: int = 0) -> None:
    CommandOutput.objects.create(command=command, attempt=command.attempt, stream=stream, offset=offset, data=data)


def test_a_component_becomes_a_command_with_all_it_asks_for() -> None:
    submit(
        command("job::a", argv=["echo", "hi"], on="host-a", env={"A": "1"}, cwd="/tmp", timeout_s=5),
        edges=[("start", "job::a")],
    )
    made = Command.objects.get()
    assert (made.argv, made.on, made.env, made.cwd, made.timeout_s) == (["echo", "hi"], "host-a", {"A": "1"}, "/tmp", 5)
    assert made.owner == "component/b1/job::a/1"
    component = Component.objects.changes().get()
    assert (component.state, component.handle) == ("running", made.id)


def test_a_text_is_run_by_the_shell() -> None:
    submit(command("job::a", command="echo hi; exit 3"), edges=[("start", "job::a")])
    assert Command.objects.get().argv == ["sh", "-c", "echo hi; exit 3"]


def test_a_command_that_ended_well_completes_its_component_and_starts_the_next() -> None:
    submit(
        command("job::a"),
        command("job::b", argv=["echo", '$(changes.#[_component_id="job::a"].stdout)']),
        edges=[("start", "job::a"), ("job::a", "job::b")],
    )
    first = end(Command.objects.get())
    write(first, "stdout", b"vpc-1\x00\xff" + b"x" * 5000)
    commands_ended.send(sender=Command, commands=[first])

    document = Component.objects.changes().get(component_id="job::a").document
    assert (document["exit_code"], document["stdout"][:7], len(document["stdout"])) == (0, "vpc-1\ufffd\ufffd", 4096)
    second = Command.objects.get(owner="component/b1/job::b/1")
    assert second.argv[1].startswith("vpc-1")
    commands_ended.send(sender=Command, commands=[end(second)])
    assert Graph.objects.get().state == "completed"


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        ({"exit_code": 3}, "exit code 3"),
        ({"exit_code": None, "signal": 9}, "killed by signal 9"),
        ({"exit_code": None, "signal": 15, "timed_out": True}, "killed by signal 15 after its timeout"),
        ({"exit_code": None, "start_error": "no such program"}, "no such program"),
        ({"exit_code": None, "state": "dead", "reason": "the host is lost"}, "the host is lost"),
        ({"exit_code": None, "state": "cancelled", "reason": "cancelled by ann"}, "cancelled by ann"),
    ],
)
def test_any_other_end_fails_the_component_with_its_reason(ended: dict[str, Any], reason: str) -> None:
    submit(command("job::a"), edges=[("start", "job::a")])
    commands_ended.send(sender=Command, commands=[end(Command.objects.get(), **ended)])
    component = Component.objects.changes().get()
    assert (component.state, component.reason) == ("errored", reason)
    assert Graph.objects.get().state == "errored"


def test_the_last_line_of_stderr_tells_why() -> None:
    submit(command("job::a"), edges=[("start", "job::a")])
    failed = end(Command.objects.get(), exit_code=1)
    write(failed, "stderr", b"first\nno space left\n")
    commands_ended.send(sender=Command, commands=[failed])
    assert Component.objects.changes().get().reason == "exit code 1: no space left"


def test_the_last_line_tells_why_however_much_came_before() -> None:
    submit(command("job::a"), edges=[("start", "job::a")])
    noise, last = b"noise\n" * 20_000, b"noise\nno space left\n"
    failed = end(Command.objects.get(), exit_code=1, stderr_bytes=len(noise + last))
    write(failed, "stderr", noise)
    write(failed, "stderr", last, len(noise))
    commands_ended.send(sender=Command, commands=[failed])
    assert Component.objects.changes().get().reason == "exit code 1: no space left"


def test_what_the_engine_said_tells_why_before_the_last_line() -> None:
    submit(command("job::a"), edges=[("start", "job::a")])
    failed = end(Command.objects.get(), exit_code=137, reason="OOMKilled: memory_mb is 16")
    write(failed, "stderr", b"Killed\n")
    commands_ended.send(sender=Command, commands=[failed])
    assert Component.objects.changes().get().reason == "exit code 137: OOMKilled: memory_mb is 16"


def test_the_sweep_finds_an_end_whose_signal_was_lost() -> None:
    submit(command("job::a"), edges=[("start", "job::a")])
    end(Command.objects.get())
    store.sweep(NOW)
    assert Graph.objects.get().state == "completed"


def test_the_sweep_starts_what_a_lost_hint_left_waiting() -> None:
    store.submit(
        {"id": "b1", "changes": [command("job::a")], "edges": [{"source": "start", "destination": "job::a"}]},
        NOW,
        source="topology",
    )
    store.sweep(NOW)
    assert Component.objects.changes().get().state == "running"


def test_commands_of_nobody_and_of_others_are_left_alone() -> None:
    other = Command.objects.create(id="x", argv=["true"], owner="run/7", state="done", created_at=NOW)
    stray = Command.objects.create(id="y", argv=["true"], owner="component/gone/a/1", state="done", created_at=NOW)
    commands_ended.send(sender=Command, commands=[other, stray])
    assert not Graph.objects.exists()


def test_cancelling_a_graph_stops_its_commands_and_ends_when_they_have() -> None:
    submit(command("job::a"), command("job::b"), edges=[("start", "job::a"), ("job::a", "job::b")])
    sent = Command.objects.get()
    Command.objects.filter(pk=sent.pk).update(state="running")
    graph = store.cancel("b1", NOW, "ann")
    assert (graph.state, graph.cancelled, graph.running) == ("running", 1, 1)
    sent.refresh_from_db()
    assert sent.cancel_requested

    commands_ended.send(sender=Command, commands=[end(sent, None, "cancelled")])
    assert Graph.objects.get().state == "cancelled"


def test_cancelling_again_does_not_wait_for_what_is_in_flight() -> None:
    submit(command("job::a"), edges=[("start", "job::a")])
    Command.objects.update(state="running")
    store.cancel("b1", NOW, "ann")
    graph = store.cancel("b1", NOW + timedelta(seconds=1), "ann")
    assert graph.state == "cancelled"
    assert Component.objects.changes().get().reason == "cancelled by ann without waiting for its provider"


def test_a_command_that_is_not_begun_in_time_has_failed_and_one_that_is_goes_on() -> None:
    submit(
        command("job::a", _start_timeout_s=5),
        command("job::b", _start_timeout_s=5),
        edges=[("start", "job::a"), ("start", "job::b")],
    )
    Command.objects.filter(owner="component/b1/job::a/1").update(state="running", started_at=NOW)
    store.sweep(NOW + timedelta(seconds=6))
    found = dict(Component.objects.changes().values_list("component_id", "state"))
    assert found == {"job::a": "running", "job::b": "errored"}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"command": ""}, "changes[0]"),
        ({"argv": ["true"], "command": "true"}, "changes[0]"),
        ({"argv": "true"}, "changes[0].argv"),
        ({"argv": [1]}, "changes[0].argv"),
        ({"env": {"A": 1}}, "changes[0].env"),
        ({"env": []}, "changes[0].env"),
        ({"timeout_s": "5"}, "changes[0].timeout_s"),
        ({"timeout_s": -1}, "changes[0].timeout_s"),
        ({"on": "zone=a and"}, "changes[0].on"),
    ],
)
def test_a_component_that_is_no_command_is_refused_with_the_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        submit(command("job::a", **fields), edges=[("start", "job::a")])
    assert path in {fault.path for fault in caught.value.faults}
