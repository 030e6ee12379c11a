"""Commands on a host, carried out by real processes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.protocol import (
    Accepted,
    Output,
    QueryUnits,
    Refused,
    RunCommand,
    SetDraining,
    Started,
    StopUnit,
    Unknown,
)

IGNORES_TERM = "trap '' TERM; while :; do sleep 0.1; done"


def count(path: Path) -> int:
    """How often a command has run that appends a line to this file."""
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_command_is_accepted_started_and_ended_with_its_exit_code(host: TestHost) -> None:
    host.run("sh", "-c", "echo hi; echo oh >&2; exit 7")
    end = host.ended()
    assert (end.exit_code, end.signal, end.start_error, end.lost) == (7, None, "", "")
    assert (host.output(), host.output(stream="stderr")) == (b"hi\n", b"oh\n")
    assert (end.stdout_bytes, end.stderr_bytes) == (3, 3)
    order = [type(report) for report in host.reports if not isinstance(report, Output)]
    assert order[:2] == [Accepted, Started]


def test_a_program_that_is_not_there_is_a_start_error(host: TestHost) -> None:
    host.run("no-such-program")
    end = host.ended()
    assert end.start_error == "cannot start 'no-such-program': No such file or directory"
    assert end.exit_code is None


def test_a_file_that_is_no_program_is_a_start_error(host: TestHost, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    host.run(str(tmp_path / "data"))
    assert "Permission denied" in host.ended().start_error


def test_a_missing_working_directory_is_a_start_error(host: TestHost) -> None:
    host.run("true", cwd="/no/such/folder")
    assert host.ended().start_error.startswith("cannot enter the working directory '/no/such/folder'")


def test_an_empty_argv_is_a_start_error(host: TestHost) -> None:
    host.run()
    assert host.ended().start_error == "cannot start it: argv is empty"


def test_a_signal_is_told_apart_from_an_exit(host: TestHost) -> None:
    host.run("sh", "-c", "kill -SEGV $$")
    assert (host.ended().signal, host.ended().exit_code) == (signal.SIGSEGV, None)


def test_stdin_environment_and_folder_are_those_ordered(host: TestHost, tmp_path: Path) -> None:
    host.run("sh", "-c", "cat; pwd; env", stdin=b"in\0put\n", env={"COLOUR": "blue"}, cwd=str(tmp_path))
    host.ended()
    lines = host.output().split(b"\n")
    assert lines[:2] == [b"in\0put", str(tmp_path).encode()]
    names = {line.partition(b"=")[0].decode() for line in lines[2:] if line}
    assert {"COLOUR", "PATH", "SCHEDULER_UNIT", "SCHEDULER_ATTEMPT"} <= names
    assert "DJANGO_SETTINGS_MODULE" not in names


def test_without_stdin_a_reader_gets_the_end_at_once(host: TestHost) -> None:
    host.run("cat")
    assert host.ended().exit_code == 0


def test_any_bytes_arrive_as_they_were_written(host: TestHost, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20 + b"no newline at the end"
    (tmp_path / "data").write_bytes(data)
    host.run("cat", str(tmp_path / "data"))
    host.ended()
    assert host.output() == data


def test_more_than_a_megabyte_without_a_newline_arrives_whole(host: TestHost) -> None:
    size = 3_000_000
    host.run("sh", "-c", f"head -c {size} /dev/zero | tr '\\0' x", output_limit_bytes=4_000_000)
    end = host.ended()
    assert host.output() == b"x" * size
    assert end.stdout_bytes == size
    assert max(len(piece.data) for piece in host.of(Output)) <= 65_536


def test_output_beyond_its_limit_is_cut_and_its_size_told(host: TestHost) -> None:
    host.run("sh", "-c", "head -c 5000 /dev/zero", output_limit_bytes=1000)
    end = host.ended()
    assert len(host.output()) == 1000
    assert end.stdout_bytes == 5000


def test_output_is_told_while_the_command_runs(host: TestHost) -> None:
    host.run("sh", "-c", "echo first; sleep 30")
    assert host.wait_for(Output).data == b"first\n"
    host.order(StopUnit(unit="command/1", attempt=1, grace_s=1))
    host.ended()


def test_a_time_limit_ends_the_whole_group(host: TestHost) -> None:
    host.run("sh", "-c", "sh -c 'sleep 60 & sleep 60' & wait", timeout_s=0.3, grace_s=5)
    end = host.ended()
    assert end.timed_out
    assert end.signal == signal.SIGTERM
    assert host.processes() == []


def test_what_ignores_the_request_to_end_is_killed_after_the_grace(host: TestHost) -> None:
    host.run("sh", "-c", f"({IGNORES_TERM}) & {IGNORES_TERM}", timeout_s=0.2, grace_s=0.3)
    end = host.ended()
    assert (end.timed_out, end.signal) == (True, signal.SIGKILL)
    assert host.processes() == []


def test_what_a_command_leaves_in_its_group_is_ended_with_it(host: TestHost) -> None:
    host.run("sh", "-c", "sleep 60 & exit 3", grace_s=2)
    assert host.ended().exit_code == 3
    assert host.processes() == []


def test_a_stopped_command_is_cancelled(host: TestHost) -> None:
    host.run("sleep", "60")
    host.wait_for(Started)
    host.order(StopUnit(unit="command/1", attempt=1, grace_s=5))
    end = host.ended()
    assert (end.cancelled, end.signal) == (True, signal.SIGTERM)


def test_a_stop_also_finds_what_left_the_group(host: TestHost) -> None:
    host.run("sh", "-c", "setsid sleep 60 & wait")
    host.wait_for(Started)
    wait_until(lambda: len(host.processes()) == 2)
    host.order(StopUnit(unit="command/1", attempt=1, grace_s=5))
    host.ended()
    assert host.processes() == []


def test_an_order_that_comes_twice_runs_once(host: TestHost, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for _ in range(3):
        host.run("sh", "-c", f"echo x >> {ran}; sleep 0.2")
    host.ended()
    host.run("sh", "-c", f"echo x >> {ran}")
    wait_until(lambda: len(host.of(type(host.ended()))) == 2, what="the end is told again")
    assert count(ran) == 1


def test_an_older_attempt_is_ignored(host: TestHost, tmp_path: Path) -> None:
    host.run("true", attempt=2)
    host.ended()
    host.run("touch", str(tmp_path / "ran"), attempt=1)
    host.run("true", unit="command/2")
    host.ended("command/2")
    assert not (tmp_path / "ran").exists()


def test_a_newer_attempt_runs_after_the_older_one_is_gone(host: TestHost) -> None:
    host.run("sleep", "60", attempt=1)
    host.wait_for(Started)
    host.run("echo", "second", attempt=2)
    wait_until(lambda: [end.attempt for end in host.of(type(host.ended()))] == [1, 2])
    assert host.of(type(host.ended()))[0].cancelled


def test_commands_beyond_the_slots_wait_their_turn(new_host: Callable[..., TestHost], tmp_path: Path) -> None:
    host = new_host(slots=1)
    ran = tmp_path / "ran"
    host.order(
        *[
            RunCommand(unit=f"command/{n}", attempt=1, argv=["sh", "-c", f"echo {n} >> {ran}; sleep 0.05"])
            for n in range(5)
        ]
    )
    for n in range(5):
        host.ended(f"command/{n}")
    assert ran.read_text().split() == ["0", "1", "2", "3", "4"]


def test_a_waiting_command_can_be_cancelled(new_host: Callable[..., TestHost]) -> None:
    host = new_host(slots=1)
    host.run("sleep", "60")
    host.run("true", unit="command/2")
    host.order(StopUnit(unit="command/2", attempt=1))
    end = host.ended("command/2")
    assert (end.cancelled, end.start_error) == (True, "it was cancelled before it could start")


def test_a_waiting_command_does_not_start_after_its_deadline(new_host: Callable[..., TestHost]) -> None:
    host = new_host(slots=1)
    host.run("sleep", "0.5")
    host.run("true", unit="command/2", start_by=time.time() + 0.2)
    assert host.wait_for(Refused, "command/2").reason == "it came after its start deadline"


def test_a_late_command_is_refused(host: TestHost, tmp_path: Path) -> None:
    host.run("touch", str(tmp_path / "ran"), start_by=time.time() - 1)
    assert "deadline" in host.wait_for(Refused).reason
    assert not (tmp_path / "ran").exists()


def test_a_draining_host_takes_nothing_new_also_after_a_restart(host: TestHost) -> None:
    host.order(SetDraining(draining=True))
    host.restart()
    host.run("true")
    assert host.wait_for(Refused).reason == "the host is draining"
    host.order(SetDraining(draining=False))
    host.run("true", attempt=2)
    assert host.ended().exit_code == 0


def test_a_query_is_answered_from_the_journal(host: TestHost) -> None:
    host.run("true")
    host.ended()
    host.reports.clear()
    host.order(QueryUnits(units=[("command/1", 1), ("command/2", 1)]))
    assert host.ended().exit_code == 0
    assert host.wait_for(Unknown, "command/2").attempt == 1


def test_a_stop_that_overtakes_its_order_still_stops_it(host: TestHost, tmp_path: Path) -> None:
    host.order(StopUnit(unit="command/1", attempt=1))
    host.wait_for(Unknown)
    host.run("touch", str(tmp_path / "ran"))
    assert host.wait_for(Refused).reason == "it was stopped before it came"
    assert not (tmp_path / "ran").exists()


def test_orders_for_another_host_are_dropped(host: TestHost, tmp_path: Path) -> None:
    assert host.agent is not None
    order = RunCommand(unit="command/1", attempt=1, argv=["touch", str(tmp_path / "ran")])
    host.agent.receive(host.control.signer.orders([order], host="host-other"))
    host.run("true", unit="command/2")
    host.ended("command/2")
    assert not (tmp_path / "ran").exists()


def test_an_ended_command_leaves_nothing_on_disk(host: TestHost) -> None:
    host.run("echo", "hi")
    host.ended()
    wait_until(lambda: not list((host.config.state_dir / "units").iterdir()))


def test_hundreds_of_commands_all_end_with_their_own_output(host: TestHost) -> None:
    units = [f"command/{n}" for n in range(200)]
    host.order(*[RunCommand(unit=unit, attempt=1, argv=["echo", unit]) for unit in units])
    for unit in units:
        assert host.ended(unit, timeout_s=30).exit_code == 0
    assert [host.output(unit) for unit in units] == [f"{unit}\n".encode() for unit in units]


def test_a_running_command_survives_the_agent(host: TestHost) -> None:
    host.run("sh", "-c", "echo before; sleep 1; echo after; exit 5")
    pid = host.wait_for(Started).pid
    host.wait_for(Output)
    host.stop()
    os.kill(pid, 0)
    host.start()
    assert host.ended().exit_code == 5
    assert host.output() == b"before\nafter\n"
    assert len(host.of(Started)) == 1


def test_a_command_that_ends_while_the_agent_is_away_loses_nothing(host: TestHost) -> None:
    host.run("sh", "-c", "sleep 0.5; echo late; exit 9")
    pid = host.wait_for(Started).pid
    host.stop()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    host.start()
    assert host.ended().exit_code == 9
    assert host.output() == b"late\n"


def test_waiting_commands_are_still_run_after_a_restart(new_host: Callable[..., TestHost]) -> None:
    host = new_host(slots=1)
    host.run("sleep", "0.5")
    host.run("echo", "second", unit="command/2")
    host.restart()
    assert host.ended("command/2").exit_code == 0


def test_a_running_command_survives_the_supervisor_though_its_exit_code_does_not(host: TestHost) -> None:
    host.run("sh", "-c", "sleep 1.5; echo done")
    pid = host.wait_for(Started).pid
    host.kill_supervisor()
    host.supervisor_pid()
    os.kill(pid, 0)
    end = host.ended()
    assert "exit code is not known" in end.lost
    assert host.output() == b"done\n"


def test_an_adopted_command_can_still_be_stopped_and_keeps_its_time_limit(host: TestHost) -> None:
    host.run("sleep", "60")
    host.run("sleep", "60", unit="command/2", timeout_s=1)
    host.wait_for(Started)
    host.wait_for(Started, "command/2")
    host.kill_supervisor()
    assert host.ended("command/2").timed_out
    host.order(StopUnit(unit="command/1", attempt=1, grace_s=1))
    assert host.ended().cancelled
    assert host.processes() == []


def test_a_stop_ordered_while_no_supervisor_lives_is_carried_out(host: TestHost) -> None:
    host.run("sleep", "60")
    host.wait_for(Started)
    host.kill_supervisor()
    host.order(StopUnit(unit="command/1", attempt=1, grace_s=1))
    assert host.ended().cancelled


def test_commands_that_end_between_two_supervisors_are_lost_with_the_reason(host: TestHost) -> None:
    host.run("sleep", "60")
    pid = host.wait_for(Started).pid
    host.stop()
    host.kill_supervisor()
    os.kill(pid, signal.SIGKILL)
    host.start()
    assert "exit code is not known" in host.ended().lost


def test_the_supervisor_stops_everything_when_asked_to_end(host: TestHost) -> None:
    host.run("sleep", "60")
    host.run("sh", "-c", IGNORES_TERM, unit="command/2", grace_s=0.5)
    host.wait_for(Started, "command/2")
    supervisor = host.supervisor_pid()
    host.stop()
    os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: not (host.config.state_dir / "supervisor.pid").exists())
    assert host.processes() == []
    assert not (host.config.state_dir / "supervisor.sock").exists()
    host.start()
    assert host.ended().signal == signal.SIGTERM
    assert not host.ended().cancelled
