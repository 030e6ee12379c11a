"""go-schedule's tasks file, and YAML as schedctl reads it."""

import base64
from pathlib import Path
from typing import Any

import pytest

from schedctl.documents import load_document, load_mapping
from schedctl.errors import BadFile
from schedctl.taskfields import FIELDS
from schedctl.taskfile import read_tasks

EXAMPLE = Path(__file__).parents[3] / "examples" / "tasks.yml"


def asked_in(text: str) -> list[dict[str, Any]]:
    Path("tasks.yml").write_text(text)
    return read_tasks("tasks.yml").tasks


def tasks_in(text: str) -> list[list[str]]:
    return [task["argv"] for task in asked_in(text)]


def faults_in(text: str) -> list[str]:
    with pytest.raises(BadFile) as caught:
        tasks_in(text)
    return [line.strip() for line in str(caught.value).splitlines()]


def test_scalars_stay_as_they_are_written() -> None:
    text = "tasks: [{cmd: echo, params: [30, true, 1.50, 0x1F, yes, 2024-01-01, 1e3, 12:30, '=']}]"
    assert tasks_in(text) == [["echo", "30", "true", "1.50", "0x1F", "yes", "2024-01-01", "1e3", "12:30", "="]]


@pytest.mark.parametrize("null", ["null", "~", "", '""'])
def test_null_is_the_empty_text(null: str) -> None:
    assert tasks_in(f"tasks:\n- cmd: echo\n  params:\n  - {null}\n  - b") == [["echo", "", "b"]]


def test_params_may_be_left_out_and_unknown_keys_are_ignored_and_told() -> None:
    assert tasks_in("version: 1\ntasks:\n- {cmd: date, note: x}\n- {cmd: ls, params: }") == [["date"], ["ls"]]
    assert read_tasks("tasks.yml").notes == ["tasks.yml: tasks[0].note: is no key of a task and is ignored"]


def test_our_own_keys_stand_beside_go_schedules() -> None:
    text = """
    tasks:
    - cmd: make
      on: zone=a and cores>=4
      env: {LANG: C, N: 1.50}
      cwd: /srv
      stdin: hi
      user: build
      timeout: 1m30s
      grace: 5
      start_within: 1h
      priority: -5
      retries: 3
      retry_delay: 500ms
      memory_mb: 512
      cpu_seconds: 60
      open_files: 1024
      array: 0-99:5
      at_once: 10
    """
    assert asked_in(text) == [
        {
            "argv": ["make"],
            "on": "zone=a and cores>=4",
            "env": {"LANG": "C", "N": "1.50"},
            "cwd": "/srv",
            "stdin": base64.b64encode(b"hi").decode(),
            "user": "build",
            "timeout_s": 90.0,
            "grace_s": 5.0,
            "start_within_s": 3600.0,
            "priority": -5,
            "retries": 3,
            "retry_delay_s": 0.5,
            "memory_mb": 512,
            "cpu_seconds": 60,
            "open_files": 1024,
            "array": "0-99:5",
            "at_once": 10,
        }
    ]


def test_every_key_is_a_field_of_the_api() -> None:
    fields = Path(__file__).parents[3].joinpath("workers/api.py").read_text()
    assert [one.sent_as for one in FIELDS if f"\n    {one.sent_as}: " not in fields] == []


@pytest.mark.parametrize("text", ["", "# nothing", "tasks:", "tasks: []"])
def test_an_empty_file_has_no_tasks(text: str) -> None:
    assert tasks_in(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tasks: [{params: [a]}]", "tasks[0].cmd: is missing"),
        ("tasks: [{cmd: a}, {cmd: }]", "tasks[1].cmd: is missing"),
        ("tasks: [{cmd: [a]}]", "tasks[0].cmd: must be text, not a list"),
        ("tasks: [{cmd: a, params: b}]", "tasks[0].params: must be a list"),
        ("tasks: [{cmd: a, params: [{b: c}]}]", "tasks[0].params[0]: must be text, not a mapping"),
        ("tasks: [{cmd: a, timeout: soon}]", "tasks[0].timeout: 'soon' is not a duration"),
        ("tasks: [{cmd: a, retries: many}]", "tasks[0].retries: 'many' is not a whole number"),
        ("tasks: [{cmd: a, on: [b]}]", "tasks[0].on: must be text, not a list"),
        ("tasks: [{cmd: a, env: b}]", "tasks[0].env: must be a mapping"),
        ("tasks: [{cmd: a, env: {B: [c]}}]", "tasks[0].env.B: must be text, not a list"),
        ("tasks: [{cmd: a, stdin: {b: c}}]", "tasks[0].stdin: must be text, not a mapping"),
        ("tasks: [echo]", "tasks[0]: must be a mapping with cmd and params, not a single value"),
        ("tasks: {cmd: a}", "tasks: must be a list, not a mapping"),
        ("task: []", "the key tasks is missing"),
        ("[]", "the file must be a mapping"),
    ],
)
def test_a_fault_names_the_item_and_the_key(text: str, fault: str) -> None:
    assert faults_in(text)[1].startswith(fault)


def test_all_faults_are_told_at_once() -> None:
    assert len(faults_in("tasks: [{params: a}, b]")) == 4


@pytest.mark.parametrize(
    ("text", "where"), [("tasks:\n- a: ]", "2:6"), ("tasks:\n- cmd: a\n  cmd: b", "3:3"), ("a\n--- b", "2:1")]
)
def test_a_malformed_file_is_named_with_its_line(text: str, where: str) -> None:
    assert faults_in(text)[0].startswith(f"tasks.yml:{where}: ")


def test_a_file_that_is_not_text_is_refused() -> None:
    Path("tasks.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadFile, match="is not UTF-8"):
        read_tasks("tasks.yml")


def test_the_example_is_a_tasks_file() -> None:
    assert tasks_in(EXAMPLE.read_text())[0] == ["echo", "hello world", "30", "true", "1.50"]


def test_documents_keep_words_that_only_old_yaml_interprets() -> None:
    text = "{on: host-a, answer: yes, at: 12:30, day: 2024-01-01, n: 3, f: 1.5, b: true, none: null}"
    assert load_document(text, "f") == {
        "on": "host-a",
        "answer": "yes",
        "at": "12:30",
        "day": "2024-01-01",
        "n": 3,
        "f": 1.5,
        "b": True,
        "none": None,
    }


def test_a_document_that_must_be_a_mapping_says_what_it_is() -> None:
    Path("graph.yml").write_text("- a")
    with pytest.raises(BadFile, match=r"graph\.yml: must hold a mapping \(key: value\), not a list"):
        load_mapping("graph.yml")


def test_json_is_read_as_json() -> None:
    assert load_document('{"a": "\\u00e9\\ud83d\\ude00", "b": 1e3, "c": null}', "f") == {
        "a": "é😀",
        "b": 1000.0,
        "c": None,
    }


@pytest.mark.parametrize("text", ['{"a": 1,\n"a": 2}', "a: 1\na: 2"])
def test_a_key_given_twice_is_told_with_its_line(text: str) -> None:
    with pytest.raises(BadFile, match=r"f:2:1: the key 'a' is given twice"):
        load_document(text, "f")


@pytest.mark.parametrize("text", ["[" * 200_000, "a: " + "[" * 200_000 + "]" * 200_000])
def test_a_document_nested_without_end_is_refused(text: str) -> None:
    with pytest.raises(BadFile, match="f: is nested more than 100 levels deep"):
        load_document(text, "f")


def test_a_value_that_is_not_what_it_looks_like_is_told() -> None:
    with pytest.raises(BadFile, match="is not valid YAML or JSON"):
        load_document("a: !!int x", "f")
