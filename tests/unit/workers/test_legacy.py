"""go-schedule's records: what outsiders read in etcd, and what they may ask for."""

import json
from dataclasses import replace
from typing import Any

import pytest

from scheduler_project.toolkit.errors import InvalidDocument
from workers.core.legacy import (
    STREAM_BYTES_MAX,
    CommandView,
    Names,
    key_of,
    left_alone,
    owner_of,
    refused,
    task_record,
    wish_in,
    worker_record,
)
from workers.core.states import COMMAND

VIEW = CommandView(id="7", argv=["echo", "hi"], state="pending")


def shown(view: CommandView) -> Any:
    return json.loads(task_record(view))


@pytest.mark.parametrize(
    ("fields", "state", "error"),
    [
        ({"state": "pending", "reason": "no worker is connected"}, "pending", None),
        ({"state": "scheduled", "worker_id": "w"}, "scheduled", None),
        ({"state": "running", "worker_id": "w"}, "scheduled", None),
        ({"state": "done", "exit_code": 0}, "done", None),
        ({"state": "done", "exit_code": 7}, "done", "exit code 7"),
        ({"state": "done", "signal": 9}, "done", "signal 9"),
        ({"state": "done", "signal": 15, "timed_out": True}, "done", "timed out, signal 15"),
        ({"state": "done", "start_error": "no such file"}, "done", "not started: no such file"),
        ({"state": "dead", "reason": "its host is gone"}, "dead", "its host is gone"),
        ({"state": "dead"}, "dead", "dead"),
        ({"state": "cancelled", "reason": "by kim"}, "dead", "cancelled: by kim"),
        ({"state": "cancelled"}, "dead", "cancelled"),
    ],
)
def test_states_are_told_in_go_schedules_words(fields: dict[str, Any], state: str, error: str | None) -> None:
    record = shown(replace(VIEW, **fields))

    assert (record["state"], record.get("workerError")) == (state, error)


def test_every_state_of_a_command_can_be_told() -> None:
    assert all(shown(replace(VIEW, state=state))["state"] for state in COMMAND.states)


def test_a_record_has_go_schedules_fields_in_its_order_and_escaping() -> None:
    argv = ["sh", "-c", "a<b && c>d é\u2028"]
    view = CommandView("7", argv, "done", exit_code=0, worker_id="w1", stdout=b"x\n\t", stderr=b"&")

    assert task_record(view).decode() == (
        r'{"id":"7","cmd":"sh","parameters":["-c","a\u003cb \u0026\u0026 c\u003ed é\u2028"],'
        r'"state":"done","stdout":"x\n\t","stderr":"\u0026","workerId":"w1"}'
    )


def test_empty_fields_are_omitted() -> None:
    assert shown(CommandView("7", ["true"], "pending")) == {"id": "7", "cmd": "true", "state": "pending"}


def test_output_that_is_not_text_is_told_with_replacement() -> None:
    assert shown(replace(VIEW, state="done", stdout=b"a\xffb", stdout_bytes=3))["stdout"] == "a\ufffdb"


def test_long_output_is_cut_and_says_so() -> None:
    view = replace(VIEW, state="done", stdout=b"x" * (STREAM_BYTES_MAX + 5), stdout_bytes=10 * STREAM_BYTES_MAX)

    stdout = shown(view)["stdout"]

    assert stdout.startswith("x" * STREAM_BYTES_MAX + "\n[")
    assert f"[{9 * STREAM_BYTES_MAX} more bytes are not in this record]" in stdout


def test_a_worker_is_told_as_go_schedule_does_and_without_tasks_where_it_has_none() -> None:
    assert worker_record("w1", "10.0.0.1", "connected", 0) == (
        b'{"wn":{"id":"w1","address":"10.0.0.1","state":"connected"}}'
    )
    assert json.loads(worker_record("w1", "10.0.0.1", "connected", 3))["wn"]["ntasks"] == 3


def test_a_worker_that_nobody_serves_is_disconnected_and_keeps_the_rest() -> None:
    value = left_alone(b'{"wn":{"id":"old","address":"TBD","state":"connected"}}')

    assert value == b'{"wn":{"id":"old","address":"TBD","state":"disconnected"}}'


@pytest.mark.parametrize("value", [b"", b"[]", b'{"wn":7}', b'{"wn":{"state":"disconnected"}}'])
def test_what_is_no_connected_worker_is_left_as_it_is(value: bytes) -> None:
    assert left_alone(value) is None


def test_a_command_keeps_the_key_that_it_came_from() -> None:
    names = Names("x/")

    assert key_of("7", owner_of("x/task_abc"), names) == "x/task_abc"
    assert key_of("7", "component/g/c/1", names) == "x/task_7"
    assert key_of("7", owner_of("other/task_abc"), names) == "x/task_7"


def test_a_foreign_pending_record_asks_for_its_command() -> None:
    value = b'{"id":"a","cmd":"echo","parameters":["1","2"],"state":"pending","workerId":"w1","unknown":1}'

    wish = wish_in("a", value)

    assert wish is not None
    assert (wish.argv, wish.worker_id) == (("echo", "1", "2"), "w1")


@pytest.mark.parametrize("value", [b"", b"\xff", b"7", b"[]", b"{}", b'{"cmd":"a","state":"done"}', b"[" * 100_000])
def test_what_is_not_pending_asks_for_nothing(value: bytes) -> None:
    assert wish_in("a", value) is None


@pytest.mark.parametrize(
    ("name", "fields", "path"),
    [
        ("a", {}, "cmd"),
        ("a", {"cmd": ""}, "cmd"),
        ("a", {"cmd": ["echo"]}, "cmd"),
        ("a", {"cmd": "echo", "parameters": "1"}, "parameters"),
        ("a", {"cmd": "echo", "parameters": [1]}, "parameters"),
        ("a", {"cmd": "echo", "id": "b"}, "id"),
        ("a", {"cmd": "echo", "workerId": 7}, "workerId"),
        ("a b", {"cmd": "echo"}, ""),
        ("", {"cmd": "echo"}, ""),
        ("a" * 201, {"cmd": "echo"}, ""),
        ("a", {"cmd": "echo", "parameters": ["\ud800"]}, ""),
    ],
)
def test_a_wish_that_cannot_be_carried_out_is_refused_with_its_fault(
    name: str, fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidDocument) as error:
        wish_in(name, json.dumps({"state": "pending", **fields}).encode())

    assert [fault.path for fault in error.value.faults] == [path]


def test_a_refused_record_keeps_what_it_said() -> None:
    value = refused(b'{"cmd":["x"],"state":"pending","mine":1}', "cmd: is no program")

    assert json.loads(value) == {"cmd": ["x"], "state": "dead", "mine": 1, "workerError": "cmd: is no program"}
