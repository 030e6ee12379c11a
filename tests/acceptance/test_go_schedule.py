"""What makes this a better go-schedule: its acceptance checks, in their order, against real processes.

The numbers in the names are those of the checks. Check 2 is in `test_each_command_once`. Check 10, on etcd, and check
11, on trust, are with the bridge and the signed messages; the figures of check 14 come from `benchmarks/commands.py`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from scheduler_project.models import ApiToken
from scheduler_project.toolkit import access
from tests.support.fleet import Fleet, assert_each_ran_once, fleet, numbered, submit_in_batches, wait_progress
from tests.support.processes import ROOT, Processes, clean_environment
from tests.support.servers import ValkeyServer
from tests.support.wait import wait_until
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]
MEGABYTE = 1 << 20
SILENCE_S = 2.0
FOUR_HOSTS = ("host-1", "host-2", "host-3", "host-4")
Schedctl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def system(processes: Processes, valkey_server: ValkeyServer, database_url: str) -> Iterator[Fleet]:
    """Control and clock; hosts join as the test needs them."""
    with fleet(processes, valkey_server, database_url) as started:
        started.start_control(SCHEDULER_SILENCE_TIMEOUT_S=str(SILENCE_S))
        started.start_clock()
        yield started


@pytest.fixture
def schedctl(live_server: Any, tmp_path: Path) -> Schedctl:
    """Runs `schedctl` as a user would, as an operator."""
    user = User.objects.create_user("operator")
    user.groups.add(Group.objects.get_or_create(name="operator")[0])
    token = access.new_token()
    ApiToken.objects.create(name="tests", user=user, digest=access.digest(token), created_at=timezone.now())
    env = clean_environment(SCHEDCTL_SERVER=live_server.url, SCHEDCTL_TOKEN=token, HOME=str(tmp_path))

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "schedctl", *words]
        return subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    return run


def shell(text: str, **fields: Any) -> NewCommand:
    return NewCommand(argv=["sh", "-c", text], **fields)


def column_names(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[0].split("|")]


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.once
def test_01_both_tables_have_the_original_columns_and_more_only_in_wide_mode(
    system: Fleet, schedctl: Schedctl, tmp_path: Path
) -> None:
    system.join("host-a")
    tasks = tmp_path / "tasks.yaml"
    tasks.write_text("tasks:\n- cmd: echo\n  params: [hello, world]\n")

    submitted = schedctl("tasks", "schedule", "-f", str(tasks)).stdout
    system.wait_settled([Command.objects.get().id])
    workers, listed = schedctl("workers", "ls").stdout, schedctl("tasks", "ls").stdout

    assert column_names(workers) == ["id", "address", "state"]
    assert column_names(submitted) == column_names(listed) == ["id", "state", "worker", "stdout", "stderr"]
    assert [cell.strip() for cell in listed.splitlines()[1].split("|")][1::2] == ["done", "hello world"]
    for things, plain in (("workers", workers), ("tasks", listed)):
        assert len(column_names(schedctl(things, "ls", "-o", "wide").stdout)) > len(column_names(plain))


def test_03_without_workers_the_very_commands_that_were_returned_become_dead_with_the_reason(system: Fleet) -> None:
    ids = system.submit(*[NewCommand(argv=["true"], start_within_s=1)] * 3)

    commands = system.wait_settled(ids, timeout_s=15)

    assert [command.id for command in commands] == ids
    assert {command.state for command in commands} == {"dead"}
    assert all("no worker" in command.reason and "\n" not in command.reason for command in commands)
    assert Command.objects.count() == len(ids)


def test_04_a_frozen_worker_is_disconnected_in_time_and_disturbs_no_other(system: Fleet) -> None:
    system.join("host-a", "host-b", SCHEDULER_HEARTBEAT_INTERVAL_S="0.5")
    with system.frozen(system.agent("host-a")):
        ids = system.submit(*[NewCommand(argv=["true"])] * 10)
        on_b = list(Command.objects.filter(id__in=ids, worker__name="host-b").values_list("id", flat=True))
        wait_until(
            Worker.objects.filter(name="host-a", state="disconnected").exists, SILENCE_S + 2, what="the frozen one"
        )
        undisturbed = system.wait_settled(on_b, timeout_s=10)
    commands = system.wait_settled(ids, timeout_s=30)

    assert len(undisturbed) == 5
    assert all((one.ended_at - one.created_at).total_seconds() < SILENCE_S for one in undisturbed if one.ended_at)
    assert {(one.state, one.attempt) for one in commands} == {("done", 1)}


def test_04_what_a_frozen_worker_did_not_acknowledge_is_dead_in_time_or_retried_as_it_asked(
    processes: Processes, valkey_server: ValkeyServer, database_url: str
) -> None:
    with fleet(processes, valkey_server, database_url) as system:
        system.start_control(SCHEDULER_SILENCE_TIMEOUT_S=str(SILENCE_S), SCHEDULER_LOST_AFTER_S="1")
        system.start_clock()
        system.join("host-a", "host-b", SCHEDULER_HEARTBEAT_INTERVAL_S="0.5")
        with system.frozen(system.agent("host-a")):
            ids = system.submit(*[NewCommand(argv=["true"], retries=retries) for retries in (0, 0, 1, 1)])
            commands = system.wait_settled(ids, timeout_s=30)

    assert sorted((one.state, one.attempt) for one in commands) == [("dead", 1), ("done", 1), ("done", 1), ("done", 2)]
    (dead,) = [one for one in commands if one.state == "dead"]
    assert dead.reason.startswith("host-a is lost since ")
    assert "\n" not in dead.reason
    assert "nothing heard for" in Worker.objects.get(name="host-a").reason


def test_05_lost_acknowledgements_and_doubled_and_late_ends_stall_nothing(
    processes: Processes, valkey_server: ValkeyServer, database_url: str
) -> None:
    with fleet(processes, valkey_server, database_url) as system:
        control = system.start_control()
        system.start_clock()
        system.join("host-a")
        with system.frozen(control):
            first = system.submit(*[shell("echo out")] * 10)
            reported = wait_until(lambda: queued(valkey_server), 20, what="reports on the queue")
            valkey_server.flush()
            again = wait_until(lambda: queued(valkey_server), 20, what="the same reports again")
            for message in again:
                client(valkey_server).lpush("control", message)
        commands = system.wait_settled(first, timeout_s=60)
        after = system.wait_settled(system.submit(*[shell("echo out")] * 10), timeout_s=20)

    assert reported
    assert {(one.state, one.exit_code) for one in (*commands, *after)} == {("done", 0)}
    assert {store.output_of(one.id, "stdout") for one in (*commands, *after)} == {b"out\n"}


def test_06_single_requests_take_turns(system: Fleet) -> None:
    system.join("host-a", "host-b")

    ids = [system.submit(NewCommand(argv=["true"]))[0] for _ in range(6)]

    hosts = [one.worker.name for one in system.wait_settled(ids) if one.worker]
    assert sorted(hosts) == ["host-a"] * 3 + ["host-b"] * 3


def test_07_every_way_to_end_and_every_kind_of_output_is_told_faithfully(system: Fleet) -> None:
    system.join("host-a")
    binary = bytes(range(256))
    ids = system.submit(
        shell("exit 7"),
        NewCommand(argv=["no-such-program"]),
        shell("kill -9 $$"),
        shell("cat; echo oops >&2", stdin=binary),
        shell(f"head -c {10 * MEGABYTE} /dev/zero"),
    )

    failed, missing, killed, told, large = system.wait_settled(ids)

    assert (failed.state, failed.exit_code) == ("done", 7)
    assert (missing.state, missing.exit_code) == ("dead", None)
    assert "no-such-program" in missing.start_error
    assert (killed.state, killed.exit_code, killed.signal) == ("done", None, signal.SIGKILL)
    assert store.output_of(told.id, "stdout") == binary
    assert store.output_of(told.id, "stderr") == b"oops\n"
    assert (large.state, large.stdout_bytes) == ("done", 10 * MEGABYTE)
    assert store.output_of(large.id, "stdout") == bytes(large.output_limit_bytes)


@pytest.mark.once
def test_08_a_restarted_worker_keeps_its_id_and_reports_what_was_in_flight(system: Fleet, tmp_path: Path) -> None:
    system.join("host-a")
    before = system.wait_connected("host-a")
    go = tmp_path / "go"
    os.mkfifo(go)
    (command_id,) = system.submit(shell(f"read word < {go}; echo $word; exit 3"))
    wait_until(Command.objects.filter(id=command_id, state="running").exists, 20, what="the command to run")

    system.kill_agents()
    go.write_text("hello\n")
    system.return_agents()

    (command,) = system.wait_settled([command_id])
    assert (command.state, command.exit_code, store.output_of(command_id, "stdout")) == ("done", 3, b"hello\n")
    after = system.wait_connected("host-a")
    assert after.id == before.id
    assert after.session != before.session


def test_08_a_command_whose_agent_was_killed_runs_on_is_visible_and_can_be_cancelled(system: Fleet) -> None:
    system.join("host-a")
    (command_id,) = system.submit(shell("echo $$; sleep 3600 & wait", grace_s=2))
    output = wait_until(lambda: store.output_of(command_id, "stdout"), 20, what="the command's pid")
    pids = [int(output), *(child.pid for child in psutil.Process(int(output)).children())]

    system.kill_agents()
    assert all(alive(pid) for pid in pids)
    first = Worker.objects.get().session
    system.return_agents()
    wait_until(Worker.objects.connected().exclude(session=first).exists, 30, what="the agent to be back")
    assert all(alive(pid) for pid in pids)
    assert Command.objects.get().state == "running"

    store.cancel([command_id], timezone.now(), actor="tests", reason="no longer needed")

    (command,) = system.wait_settled([command_id], timeout_s=20)
    assert (command.state, command.reason) == ("cancelled", "no longer needed")
    wait_until(lambda: not any(alive(pid) for pid in pids), 5, what="its processes to be gone")


def test_09_a_killed_control_worker_loses_nothing_and_another_goes_on(system: Fleet, tmp_path: Path) -> None:
    system.join("host-a", "host-b")
    first = next(process for process in system.processes.running if "control" in process.argv)
    ran = tmp_path / "ran"

    ids = submit_in_batches(system, numbered(1000, ran))
    wait_progress(ids, 100)
    first.kill()
    system.start_control(SCHEDULER_SILENCE_TIMEOUT_S=str(SILENCE_S))

    assert_each_ran_once(system.wait_settled(ids, timeout_s=300), ran)


@pytest.mark.once
def test_14_the_benchmark_tells_its_figures_in_one_run() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/commands.py", "--count", "100", "--backlog", "1000"],
        env=clean_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for told in ("floor", "Celery alone", "p50", "p99", "done with exit code, hosts: 4"):
        assert told in done.stdout


def client(server: ValkeyServer) -> Any:
    """A plain client of the broker."""
    import redis

    return redis.Redis.from_url(server.url)


def queued(server: ValkeyServer) -> list[bytes]:
    """The reports that wait for control."""
    with client(server) as connection:
        return [message for message in connection.lrange("control", 0, -1) if b"workers.apply_reports" in message]
