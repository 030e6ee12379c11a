"""How connectors' messages are read."""

import json
from typing import Any

import pytest

from graphs.core.replies import UnreadableReply, read_reply


def reply(**fields: Any) -> bytes:
    return json.dumps({"_component_id": "vpc::a", "service": "b1"} | fields).encode()


@pytest.mark.parametrize(
    ("ending", "state", "outcome", "why"),
    [
        ("done", "completed", "completed", ""),
        ("done", None, "completed", ""),
        ("error", "errored", "errored", "without saying why"),
        ("error", None, "errored", "without saying why"),
        ("done", "errored", "errored", "_state errored"),
        ("error", "completed", "errored", "contradict"),
        ("error", "running", "errored", "contradict"),
        ("done", "running", "errored", "contradict"),
        ("done", 7, "errored", "contradict"),
    ],
)
def test_subject_and_state_tell_how_it_went(ending: str, state: Any, outcome: str, why: str) -> None:
    report = read_reply(f"vpc.create.aws.{ending}", reply(_state=state)).report
    assert report.outcome == outcome
    assert why in report.reason


def test_the_connectors_own_words_are_the_reason() -> None:
    assert read_reply("a.b.c.error", reply(_state="errored", error="no quota")).report.reason == "no quota"
    assert read_reply("a.b.c.done", reply(_state="errored", error="no quota")).report.reason == "no quota"
    assert read_reply("a.b.c.error", reply(_state="running", error="no quota")).report.reason.endswith(": no quota")


def test_an_endless_reason_is_cut() -> None:
    assert len(read_reply("a.b.c.error", reply(error="x" * 10_000)).report.reason) == 2000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"_component_id": "a"}',
        b'{"service": "a"}',
        reply(service=7),
        reply(service=""),
        reply(service="x" * 241),
        reply(_component_id="a\x00b"),
        reply(_component_id="\ud800"),
    ],
)
def test_what_names_no_component_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableReply):
        read_reply("a.b.c.done", data)


def test_a_reply_that_no_database_can_keep_fails_its_component() -> None:
    found = read_reply("a.b.c.done", reply(_state="completed", text="\x00"))
    assert (found.report.outcome, found.document) == ("errored", {})
    assert "text: holds a NUL character" in found.report.reason


def test_the_attempt_is_carried_along() -> None:
    assert read_reply("a.b.c.done", reply(), attempt=3).report.attempt == 3
