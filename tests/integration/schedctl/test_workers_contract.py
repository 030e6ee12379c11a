"""schedctl's view of users, workers and commands against the real API."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from django.utils import timezone

from tests.support.trust import enrolled
from workers.models import Command
from workers.testing import FakeAgents, Ran

Run = Callable[..., Result]
TASK_HEADER = "id|state|worker|stdout|stderr"


def test_whoami_tells_user_and_role(schedctl: Run) -> None:
    shown = schedctl("whoami")
    assert (shown.exit_code, "role     |operator\n" in shown.stdout) == (0, True)


def test_a_wrong_token_is_denied(schedctl: Run) -> None:
    refused = schedctl("whoami", "--token", "sch_wrong")
    assert (refused.exit_code, "SCHEDCTL_TOKEN" in refused.stderr) == (4, True)


def test_workers_are_listed_in_go_schedules_columns(schedctl: Run, agents: FakeAgents) -> None:
    assert schedctl("workers", "ls").stdout == (
        "id           |address   |state\nid-of-host-a |127.0.0.1 |connected\nid-of-host-b |127.0.0.1 |connected\n"
    )
    assert all("host-" in row for row in schedctl("hosts", "ls", "-o", "wide").stdout.splitlines()[1:])


def test_a_worker_is_drained_undrained_and_removed_once_it_is_gone(schedctl: Run, agents: FakeAgents) -> None:
    assert schedctl("workers", "drain", "host-a").exit_code == 0
    assert "draining      |yes\n" in schedctl("workers", "get", "host-a").stdout
    assert schedctl("workers", "undrain", "host-a").exit_code == 0
    assert schedctl("workers", "rm", "host-a").exit_code == 5
    agents.stop("host-a", timezone.now())
    assert schedctl("workers", "rm", "host-a").exit_code == 0
    assert schedctl("workers", "get", "host-a").exit_code == 3


def test_a_viewer_may_look_but_not_act(schedctl: Run, agents: FakeAgents, token_of: Callable[[str], str]) -> None:
    token = token_of("viewer")
    assert schedctl("workers", "ls", "--token", token).exit_code == 0
    assert schedctl("workers", "drain", "host-a", "--token", token).exit_code == 4


def test_a_tasks_file_is_scheduled_and_listed(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(stdout=" ".join(order.argv).encode() + b"\nmore than twenty bytes")
    Path("tasks.yml").write_text("tasks:\n- {cmd: sleep, params: [1.50]}\n- {cmd: date}\n")
    scheduled = schedctl("tasks", "schedule", "-f", "tasks.yml")
    agents.settle(timezone.now())
    listed = schedctl("tasks", "ls")
    assert [line.replace(" ", "") for line in (scheduled.stdout.splitlines()[0], listed.stdout.splitlines()[0])] == [
        TASK_HEADER,
        TASK_HEADER,
    ]
    assert listed.stdout.count("|done  |host-") == 2
    assert "|sleep 1.50 more than" in listed.stdout


def test_run_wait_gives_output_and_exit_code(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(exit_code=3, stdout=b"hi\xff\n", stderr=order.stdin)
    result = schedctl(
        "tasks", "run", "--on", "host-b", "--wait", "--stdin", "-", "--", "sh", "-c", "x", stdin=b"\x00in"
    )
    assert (result.stdout_bytes, result.stderr_bytes, result.exit_code) == (b"hi\xff\n", b"\x00in", 3)


def test_an_array_is_run_waited_for_listed_and_ends_with_its_worst_exit_code(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(exit_code=int(order.env["SCHEDULER_ARRAY_INDEX"]) % 4, stdout=b"hi")
    result = schedctl("tasks", "run", "--array", "0-6", "--at-once", "2", "--wait", "--", "work")
    assert (result.exit_code, result.stdout.count("|done  |host-")) == (3, 7)
    assert "7 of 7 ended" in result.stderr
    array = json.loads(schedctl("tasks", "ls", "-o", "json").stdout)[0]["array_id"]
    assert len(schedctl("tasks", "ls", "--array", array).stdout.splitlines()) == 8
    assert schedctl("tasks", "wait", "--array", array).exit_code == 3


def test_an_array_is_cancelled_by_its_id(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(holds=True)
    array = schedctl("tasks", "run", "--array", "0-2", "--", "sleep", "60").stdout.strip()
    agents.settle(timezone.now())
    assert schedctl("tasks", "cancel", "--array", array).exit_code == 0
    assert schedctl("tasks", "wait", "--array", array).exit_code == 130
    assert schedctl("tasks", "cancel", "--array", "nothing").exit_code == 3


def test_what_is_asked_of_a_task_reaches_it(schedctl: Run, agents: FakeAgents) -> None:
    words = ["--user", "nobody", "--memory-mb", "64", "--cpu-seconds", "5", "--open-files", "99", "--priority", "7"]
    more = ["--retries", "2", "--retry-delay", "5s", "--start-within", "1h", "--grace", "1", "--timeout", "1m"]
    task = json.loads(schedctl("tasks", "run", "-o", "json", *words, *more, "date").stdout)
    asked = Command.objects.get(id=task["id"])
    assert (asked.user, asked.memory_mb, asked.cpu_seconds, asked.open_files) == ("nobody", 64, 5, 99)
    assert (asked.priority, asked.retries, asked.retry_delay_s) == (7, 2, 5)
    assert (asked.start_within_s, asked.grace_s, asked.timeout_s) == (3600, 1, 60)


def test_what_the_server_refuses_of_a_tasks_file_is_told_with_its_place(schedctl: Run, agents: FakeAgents) -> None:
    tasks = b"tasks: [{cmd: a}, {cmd: b, priority: 5000, array: 9-1}]"
    result = schedctl("tasks", "schedule", "-f", "-", stdin=tasks)
    assert (result.exit_code, "commands[1].priority" in result.stderr, "commands[1].array" in result.stderr) == (
        1,
        True,
        True,
    )


def test_run_wait_tells_why_nothing_ran(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(start_error="[Errno 2] No such file or directory: 'nope'")
    result = schedctl("tasks", "run", "--wait", "nope")
    assert (result.exit_code, "did not start: [Errno 2]" in result.stderr) == (127, True)


def test_an_expression_that_makes_no_sense_is_a_fault_with_its_path(schedctl: Run, agents: FakeAgents) -> None:
    result = schedctl("tasks", "run", "--on", "zone ==== a", "date")
    assert (result.exit_code, "commands[0].on" in result.stderr) == (1, True)


def test_a_running_task_is_cancelled_and_its_logs_stay(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(holds=True)
    task = json.loads(schedctl("tasks", "run", "-o", "json", "sleep", "60").stdout)
    agents.settle(timezone.now())
    assert schedctl("tasks", "cancel", task["id"]).exit_code == 0
    waited = schedctl("tasks", "wait", task["id"])
    assert (waited.exit_code, "is cancelled" in waited.stderr) == (130, True)
    assert schedctl("tasks", "logs", "-f", "--both", task["id"]).exit_code == 0


@pytest.mark.parametrize("words", [["get"], ["logs"], ["wait"], ["cancel"]])
def test_an_unknown_task_is_not_found(schedctl: Run, words: list[str]) -> None:
    assert schedctl("tasks", *words, "0195e3c0-7a31-7b44-b9a1-6f0d2c1e8a55").exit_code == 3


def test_an_admin_makes_lists_and_withdraws_join_tokens(schedctl: Run, token_of: Callable[[str], str]) -> None:
    assert schedctl("workers", "join-token").exit_code == 4
    admin = ["--token", token_of("admin")]
    made = json.loads(
        schedctl("workers", "join-token", "--host", "host-c", "--ttl", "10m", "-o", "json", *admin).stdout
    )
    assert (made["host"], made["uses_left"], bool(made["token"])) == ("host-c", 1, True)
    listed = schedctl("workers", "join-tokens", *admin).stdout
    assert (made["id"] in listed, made["token"] in listed) == (True, False)
    assert schedctl("workers", "withdraw-token", made["id"], *admin).exit_code == 0
    assert schedctl("workers", "withdraw-token", made["id"], *admin).exit_code == 3


def test_an_admin_revokes_a_workers_key(schedctl: Run, agents: FakeAgents, token_of: Callable[[str], str]) -> None:
    enrolled("host-a", "id-of-host-a")
    assert schedctl("workers", "revoke", "host-a").exit_code == 4
    assert schedctl("workers", "revoke", "host-a", "--token", token_of("admin")).stdout == "host-a revoked\n"
    assert "revoked" in schedctl("workers", "ls", "-o", "wide").stdout
    assert schedctl("workers", "revoke", "nowhere", "--token", token_of("admin")).exit_code == 3
