"""`schedctl tasks`: go-schedule's view, and running one command as if it were here."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from schedctl import attending
from schedctl.following import Follower
from tests.support.scheduler_twin import Reply, Twin, answer, output, problem

Run = Callable[..., Result]
C1 = {"id": "c1", "state": "pending", "worker": None, "stdout": "", "stderr": ""}
DONE: dict[str, Any] = {**C1, "state": "done", "worker": "host-a", "exit_code": 0, "stdout": "hi\n", "stdout_bytes": 3}


def ends(twin: Twin, stdout: bytes = b"", stderr: bytes = b"", **command: Any) -> None:
    """Command c1 has written this and then ended so."""
    twin.on("POST /commands", answer({"items": [C1]}, 201))
    twin.on("GET /commands/c1", answer({**DONE, "stdout_bytes": len(stdout), **command}))
    for stream, data in (("stdout", stdout), ("stderr", stderr)):
        pieces = [output(data, len(data), "true")] if data else []
        twin.on(f"GET /commands/c1/output {stream}", *pieces, output(b"", len(data), "true"))


def test_ls_prints_go_schedules_columns(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /commands", answer({"items": [C1, DONE], "next": ""}))
    assert schedctl("tasks", "ls").stdout == (
        "id |state   |worker |stdout |stderr\nc1 |pending |       |       |\nc1 |done    |host-a |hi     |\n"
    )


def test_ls_passes_filters_on_and_stops_at_the_limit(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /commands", answer({"items": [C1, DONE], "next": "more"}))
    result = schedctl("tasks", "ls", "--state", "done", "--worker", "host-a", "--limit", "1")
    assert (twin.asked[0].query["state"], twin.asked[0].query["worker"]) == ("done", "host-a")
    assert (len(result.stdout.splitlines()), len(twin.asked)) == (2, 1)
    assert result.stderr == "schedctl: these are the newest 1; see more with --limit N or --all\n"


def test_ls_ends_at_a_thousand_unless_all_are_asked_for(twin: Twin, schedctl: Run) -> None:
    pages = [answer({"items": [C1] * 600, "next": "more"}), answer({"items": [C1] * 600, "next": ""})]
    twin.on("GET /commands", *pages)
    assert len(schedctl("tasks", "ls").stdout.splitlines()) == 1001
    twin.on("GET /commands", *pages)
    result = schedctl("tasks", "ls", "--all")
    assert (len(result.stdout.splitlines()), result.stderr) == (1201, "")


def test_ls_refuses_a_state_that_there_is_not(twin: Twin, schedctl: Run) -> None:
    assert (schedctl("tasks", "ls", "--state", "finished").exit_code, twin.asked) == (2, [])


def test_get_shows_one(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /commands/c1", answer(DONE))
    assert json.loads(schedctl("tasks", "get", "c1", "-o", "json").stdout) == DONE


def test_schedule_sends_the_files_tasks_and_prints_them(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /commands", answer({"items": [C1]}, 201))
    result = schedctl("tasks", "schedule", "-f", "-", stdin=b"tasks: [{cmd: sleep, params: [1.50]}]")
    assert twin.asked[0].document == {"commands": [{"argv": ["sleep", "1.50"]}]}
    assert result.stdout == "id |state   |worker |stdout |stderr\nc1 |pending |       |       |\n"


def test_a_faulty_file_is_refused_before_dialling(twin: Twin, schedctl: Run) -> None:
    Path("t.yml").write_text("tasks: [{params: [a]}]")
    result = schedctl("tasks", "schedule", "-f", "t.yml")
    assert (result.exit_code, twin.asked) == (1, [])
    assert "tasks[0].cmd: is missing" in result.stderr


def test_an_empty_file_schedules_nothing(twin: Twin, schedctl: Run) -> None:
    Path("t.yml").write_text("")
    assert schedctl("tasks", "schedule", "-f", "t.yml").stdout == "id |state |worker |stdout |stderr\n"
    assert twin.asked == []


def test_a_lost_answer_is_asked_for_again_under_the_same_key(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /commands", Reply(hang_up=True), answer({"items": [C1]}, 201))
    assert schedctl("tasks", "run", "date").stdout == "c1\n"
    first, second = (asked.headers["Idempotency-Key"] for asked in twin.asked)
    assert first == second


def test_run_sends_what_was_asked_for(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /commands", answer({"items": [C1]}, 201))
    words = ["--on", "host-a", "--timeout", "1m30s", "--env", "A=1=2", "--env", "B=", "--cwd", "/tmp", "--stdin", "-"]
    result = schedctl("tasks", "run", *words, "--", "sh", "-c", "cat -o json", "--wait", stdin=b"\xff\n")
    (command,) = twin.asked[0].document["commands"]
    assert result.stdout == "c1\n"
    assert command == {
        "argv": ["sh", "-c", "cat -o json", "--wait"],
        "env": {"A": "1=2", "B": ""},
        "on": "host-a",
        "cwd": "/tmp",
        "timeout_s": 90,
        "stdin": base64.b64encode(b"\xff\n").decode(),
    }


@pytest.mark.parametrize("words", [["--env", "A", "date"], ["--env", "=1", "date"], ["--timeout", "soon", "date"], []])
def test_run_refuses_what_it_cannot_mean(twin: Twin, schedctl: Run, words: list[str]) -> None:
    assert (schedctl("tasks", "run", *words).exit_code, twin.asked) == (2, [])


def test_run_wait_gives_both_streams_and_the_exit_code(twin: Twin, schedctl: Run) -> None:
    ends(twin, stdout=b"hi\n\xff\x00", stderr=b"oh\n", exit_code=3)
    result = schedctl("tasks", "run", "--wait", "--", "sh", "-c", "echo hi; exit 3")
    assert (result.stdout_bytes, result.stderr_bytes, result.exit_code) == (b"hi\n\xff\x00", b"oh\n", 3)


def test_run_asks_for_all_that_its_options_say(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /commands", answer({"items": [C1]}, 201))
    words = ["--user", "build", "--priority", "-5", "--retries", "3", "--retry-delay", "2s", "--grace", "0"]
    limits = ["--memory-mb", "512", "--cpu-seconds", "60", "--open-files", "99", "--start-within", "1h"]
    schedctl("tasks", "run", *words, *limits, "make")
    assert twin.asked[0].document == {
        "commands": [
            {
                "argv": ["make"],
                "user": "build",
                "priority": -5,
                "retries": 3,
                "retry_delay_s": 2,
                "grace_s": 0,
                "memory_mb": 512,
                "cpu_seconds": 60,
                "open_files": 99,
                "start_within_s": 3600,
            }
        ]
    }


def array_of(twin: Twin, *counts: dict[str, int], exits: tuple[int, ...] = (0, 3, 0)) -> None:
    """Array a1 of three commands comes so far from look to look, and has then ended with these codes."""
    members = [
        {**DONE, "id": f"c{index}", "array_id": "a1", "array_index": index, "exit_code": code}
        for index, code in enumerate(exits)
    ]
    twin.on("POST /commands", answer({"items": members}, 201))
    twin.on("GET /arrays/a1", *(answer({"id": "a1", "counts": count}) for count in counts))
    twin.on("GET /commands", answer({"items": members[::-1], "next": ""}))


def test_run_of_an_array_prints_its_id(twin: Twin, schedctl: Run) -> None:
    array_of(twin, {"pending": 3})
    assert schedctl("tasks", "run", "--array", "0-2", "--at-once", "2", "--", "x").stdout == "a1\n"
    assert twin.asked[0].document == {"commands": [{"argv": ["x"], "array": "0-2", "at_once": 2}]}


def test_run_wait_of_an_array_tells_its_progress_its_tasks_and_the_worst_exit_code(
    twin: Twin, schedctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attending, "LINE_EVERY_S", 0)
    array_of(twin, {"pending": 2, "running": 1}, {"running": 1, "done": 2}, {"done": 3})
    result = schedctl("tasks", "run", "--array", "0-2", "--wait", "--", "x")
    assert (result.exit_code, [row[:2] for row in result.stdout.splitlines()]) == (3, ["id", "c0", "c1", "c2"])
    assert result.stderr.splitlines() == [
        "schedctl: 0 of 3 ended, 1 running",
        "schedctl: 2 of 3 ended, 1 running",
        "schedctl: 3 of 3 ended",
        "schedctl: c1 exited with 3",
    ]


def test_progress_is_not_told_at_every_look(twin: Twin, schedctl: Run) -> None:
    array_of(twin, {"pending": 3}, {"running": 1, "pending": 2}, {"running": 2, "pending": 1}, {"done": 3})
    result = schedctl("tasks", "wait", "--array", "a1")
    assert result.stderr.count("of 3 ended") == 2


def test_of_many_bad_ends_the_first_ten_are_told(twin: Twin, schedctl: Run) -> None:
    array_of(twin, {"done": 12}, exits=(1,) * 12)
    result = schedctl("tasks", "wait", "--array", "a1")
    assert (result.exit_code, result.stderr.count("exited with 1")) == (1, 10)
    assert "12 did not end with 0; the first 10 are told" in result.stderr


def test_an_array_is_listed_and_cancelled_by_its_id(twin: Twin, schedctl: Run) -> None:
    array_of(twin, {"pending": 3})
    twin.on("POST /arrays/a1/cancel", answer({"id": "a1", "counts": {}}))
    assert len(schedctl("tasks", "ls", "--array", "a1").stdout.splitlines()) == 4
    assert twin.asked[0].query["array"] == "a1"
    assert schedctl("tasks", "cancel", "--array", "a1").stdout == "a1 cancelling\n"


def test_ctrl_c_while_an_array_is_waited_for_can_cancel_all_of_it(
    twin: Twin, schedctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    array_of(twin, {"running": 3}, {"cancelled": 3}, exits=(0, 0, 0))
    twin.on("POST /arrays/a1/cancel", answer({"id": "a1", "counts": {}}))
    monkeypatch.setattr(attending, "at_terminal", lambda: True)
    pauses = iter([KeyboardInterrupt])
    monkeypatch.setattr("schedctl.waiting.sleep", lambda pause_s: raise_next(pauses))
    result = schedctl("tasks", "wait", "--array", "a1", stdin=b"cancel\n")
    assert (result.exit_code, len(twin.calls("POST /arrays/a1/cancel"))) == (0, 1)


def test_ctrl_c_while_an_array_is_waited_for_detaches_and_says_how_to_go_on(
    twin: Twin, schedctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    array_of(twin, {"running": 3})
    pauses = iter([KeyboardInterrupt])
    monkeypatch.setattr("schedctl.waiting.sleep", lambda pause_s: raise_next(pauses))
    result = schedctl("tasks", "wait", "--array", "a1")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        130,
        "schedctl: detached; it goes on. See it with: schedctl tasks wait --array a1",
    )


def raise_next(errors: Iterator[type[BaseException]]) -> None:
    error = next(errors, None)
    if error is not None:
        raise error


def test_schedules_options_are_for_tasks_that_do_not_say_it_themselves(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /commands", answer({"items": [C1, C1]}, 201))
    tasks = b"tasks: [{cmd: a, on: host-b}, {cmd: b, colour: red}]"
    result = schedctl("tasks", "schedule", "-f", "-", "--on", "host-a", "--retries", "2", stdin=tasks)
    assert [(one["on"], one["retries"]) for one in twin.asked[0].document["commands"]] == [("host-b", 2), ("host-a", 2)]
    assert result.stderr == "schedctl: warning: -: tasks[1].colour: is no key of a task and is ignored\n"


def test_schedule_wait_waits_for_all_of_the_file(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /commands", answer({"items": [C1, {**C1, "id": "c2"}]}, 201))
    twin.on("GET /commands/c1", answer(C1), answer(DONE))
    twin.on("GET /commands/c2", answer({**DONE, "id": "c2", "exit_code": None, "signal": 9}))
    result = schedctl("tasks", "schedule", "--wait", "-f", "-", stdin=b"tasks: [{cmd: a}, {cmd: b}]")
    assert (result.exit_code, len(result.stdout.splitlines())) == (137, 3)


def test_run_wait_tells_that_a_new_attempt_begins_and_shows_it_whole(twin: Twin, schedctl: Run) -> None:
    ends(twin, attempt=2)
    twin.on(
        "GET /commands/c1/output stdout",
        output(b"first", 5, attempt=1),
        output(b"nd", 7, attempt=2),
        output(b"second", 6, attempt=2),
        output(b"", 6, "true", attempt=2),
    )
    twin.on("GET /commands/c1/output stderr", output(b"", 0, "true", attempt=2))
    result = schedctl("tasks", "run", "--wait", "x")
    assert (result.stdout, result.stderr) == (
        "firstsecond",
        "schedctl: attempt 1 of c1 ended; attempt 2 begins\n",
    )


def test_logs_of_an_earlier_attempt_end_with_it(twin: Twin, schedctl: Run) -> None:
    ends(twin, state="running", attempt=2)
    twin.on("GET /commands/c1/output stdout", output(b"old", 3, attempt=1), output(b"", 3, "true", attempt=1))
    assert schedctl("tasks", "logs", "-f", "--attempt", "1", "c1").stdout == "old"
    assert twin.calls("GET /commands/c1/output")[0].query["attempt"] == "1"


def test_run_wait_shows_output_as_it_comes(twin: Twin, schedctl: Run) -> None:
    ends(twin)
    twin.on(
        "GET /commands/c1/output stdout",
        output(b"a", 1),
        output(b"", 1),
        output(b"b", 2, "true"),
        output(b"", 2, "true"),
    )
    assert schedctl("tasks", "run", "--wait", "x").stdout == "ab"
    assert [
        one.query["offset"] for one in twin.calls("GET /commands/c1/output") if one.query["stream"] == "stdout"
    ] == [
        "0",
        "1",
        "1",
        "2",
    ]


def test_a_server_that_is_away_for_a_while_does_not_end_the_wait(twin: Twin, schedctl: Run) -> None:
    ends(twin)
    twin.on("GET /commands/c1", Reply(hang_up=True), Reply(503), answer(DONE))
    result = schedctl("tasks", "run", "--wait", "x")
    assert (result.exit_code, result.stderr.count("still waiting")) == (0, 1)


@pytest.mark.parametrize(
    ("end", "exit_code", "said"),
    [
        ({"exit_code": None, "signal": 9}, 137, ""),
        ({"exit_code": None, "start_error": "no such user", "start_error_kind": "not allowed"}, 126, "no such user"),
        (
            {"exit_code": None, "start_error": "[Errno 2] No such file or directory: 'x'"},
            127,
            "c1 did not start: [Errno 2]",
        ),
        ({"exit_code": None, "start_error": "permission denied"}, 126, "c1 did not start: permission denied"),
        ({"state": "dead", "exit_code": None, "reason": "no worker"}, 1, "c1 is dead: no worker"),
        ({"state": "cancelled", "exit_code": None, "reason": "by ann"}, 130, "c1 is cancelled: by ann"),
        ({"signal": 15, "timed_out": True}, 124, "c1 was stopped at its time limit"),
    ],
)
def test_an_end_without_exit_code_is_told_as_a_shell_would(
    twin: Twin, schedctl: Run, end: dict[str, Any], exit_code: int, said: str
) -> None:
    ends(twin, **end)
    result = schedctl("tasks", "run", "--wait", "x")
    assert (result.exit_code, said in result.stderr) == (exit_code, True)


def interrupt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Follower.copy
    calls: list[int] = []

    def interrupted(self: Follower) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        copy(self)

    monkeypatch.setattr(Follower, "copy", interrupted)


def test_ctrl_c_without_a_terminal_detaches_and_says_how_to_go_on(
    twin: Twin, schedctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(twin)
    interrupt_once(monkeypatch)
    result = schedctl("tasks", "run", "--wait", "x")
    assert (result.exit_code, result.stderr) == (
        130,
        "schedctl: detached; it goes on. See it with: schedctl tasks logs -f c1\n",
    )
    assert twin.calls("POST /commands/c1/cancel") == []


@pytest.mark.parametrize("reply", [answer({}), problem(409, "it has ended")])
def test_ctrl_c_at_a_terminal_can_cancel(
    twin: Twin, schedctl: Run, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    ends(twin, state="cancelled", reason="by ann")
    twin.on("POST /commands/c1/cancel", reply)
    interrupt_once(monkeypatch)
    monkeypatch.setattr(attending, "at_terminal", lambda: True)
    result = schedctl("tasks", "run", "--wait", "x", stdin=b"cancel\n")
    assert (result.exit_code, len(twin.calls("POST /commands/c1/cancel"))) == (130, 1)


@pytest.mark.parametrize("typed", [b"detach\n", b""])
def test_ctrl_c_at_a_terminal_can_detach(
    twin: Twin, schedctl: Run, monkeypatch: pytest.MonkeyPatch, typed: bytes
) -> None:
    ends(twin)
    interrupt_once(monkeypatch)
    monkeypatch.setattr(attending, "at_terminal", lambda: True)
    result = schedctl("tasks", "run", "--wait", "x", stdin=typed)
    assert (result.exit_code, "detached" in result.stderr) == (130, True)


@pytest.mark.parametrize(
    ("words", "stdout", "stderr"), [([], "out", ""), (["--stderr"], "", "err"), (["--both", "-f"], "out", "err")]
)
def test_logs_prints_the_streams_asked_for(
    twin: Twin, schedctl: Run, words: list[str], stdout: str, stderr: str
) -> None:
    ends(twin, stdout=b"out", stderr=b"err", exit_code=7)
    result = schedctl("tasks", "logs", *words, "c1")
    assert (result.stdout, result.stderr, result.exit_code) == (stdout, stderr, 0)


@pytest.mark.parametrize("words", [("run", "--wait", "x"), ("logs", "c1"), ("logs", "-f", "c1")])
def test_output_that_was_not_kept_is_told(twin: Twin, schedctl: Run, words: tuple[str, ...]) -> None:
    ends(twin, stdout=b"out", stdout_bytes=2_000_000)
    if words[0] == "logs":
        schedctl("tasks", "run", "x")
    result = schedctl("tasks", *words)
    assert result.stderr == "schedctl: c1 wrote 2000000 bytes to stdout, of which the first 3 were kept\n"


def test_logs_of_a_running_task_ends_without_follow(twin: Twin, schedctl: Run) -> None:
    ends(twin, state="running")
    twin.on("GET /commands/c1/output stdout", output(b"so far", 6), output(b"", 6))
    assert schedctl("tasks", "logs", "c1").stdout == "so far"


def test_wait_ends_with_the_tasks_own_exit_code(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /commands/c1", answer(C1), answer(C1), answer({**DONE, "exit_code": 5}))
    assert schedctl("tasks", "wait", "c1").exit_code == 5


@pytest.mark.parametrize(("other", "said"), [(0, ""), (5, "schedctl: c2 exited with 5\n")])
def test_wait_for_several_ends_with_the_worst_exit_code(twin: Twin, schedctl: Run, other: int, said: str) -> None:
    twin.on("GET /commands/c1", answer(DONE))
    twin.on("GET /commands/c2", answer({**DONE, "id": "c2", "exit_code": other}))
    result = schedctl("tasks", "wait", "c1", "c2")
    assert (result.exit_code, result.stderr) == (other, f"schedctl: 2 of 2 ended\n{said}")


@pytest.mark.parametrize("verb", ["wait", "cancel"])
def test_wait_and_cancel_must_be_told_what(twin: Twin, schedctl: Run, verb: str) -> None:
    assert (schedctl("tasks", verb).exit_code, twin.asked) == (2, [])


def test_wait_gives_up_at_its_time_limit(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /commands/c1", answer(C1))
    result = schedctl("tasks", "wait", "--timeout", "50ms", "c1")
    assert (result.exit_code, "within 0.05 s" in result.stderr) == (124, True)


def test_wait_for_an_unknown_task_ends_at_once(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /commands/c1", problem(404, "there is no command c1"))
    assert schedctl("tasks", "wait", "c1").exit_code == 3


def test_cancel_cancels_each_and_tells_what_had_ended_before(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /commands/c1/cancel", answer(C1))
    twin.on("POST /commands/c2/cancel", answer(DONE))
    assert schedctl("tasks", "cancel", "c1", "c2").stdout == "c1 cancelling\nc2 done\n"
