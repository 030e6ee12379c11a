"""Commands that run as another user, within limits, and what they used."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.agent.confinement import StartRefused, account_of, make_group, remove_group
from workers.agent.folders import Spec
from workers.protocol import Limits, Output, RunCommand

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may switch users")
NOBODY = 65534


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that every user may enter."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    return tmp_path


@needs_root
def test_a_command_runs_as_the_user_asked_for_with_the_users_groups_and_home(host: TestHost) -> None:
    host.run("sh", "-c", "id -u; id -G; echo $HOME $USER; touch /etc/not-mine", user="nobody")

    end = host.ended()

    uid, groups, home = host.output().decode().splitlines()
    assert (uid, groups) == (str(NOBODY), str(NOBODY))
    assert home.endswith(" nobody")
    assert end.exit_code != 0
    assert b"Permission denied" in host.output(stream="stderr")


@needs_root
def test_a_user_may_be_given_by_number(host: TestHost) -> None:
    host.run("id", "-un", user=str(NOBODY))
    host.ended()
    assert host.output() == b"nobody\n"


@needs_root
def test_variables_of_the_order_win_over_those_of_the_user(host: TestHost) -> None:
    host.run("sh", "-c", "echo $HOME", user="nobody", env={"HOME": "/tmp"})
    host.ended()
    assert host.output() == b"/tmp\n"


@needs_root
def test_what_runs_as_another_user_is_ended_with_all_it_started(host: TestHost) -> None:
    host.run("sh", "-c", "setsid sleep 60 & sleep 60", user="nobody", timeout_s=0.5, grace_s=2)
    assert host.ended().timed_out
    assert host.processes() == []


@needs_root
def test_a_folder_that_the_user_may_not_enter_is_not_allowed(host: TestHost, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    host.run("true", user="nobody", cwd=str(secret))
    end = host.ended()
    assert end.start_error_kind == "not allowed"
    assert end.start_error == f"cannot enter the working directory {str(secret)!r}: Permission denied"


@needs_root
def test_a_program_that_the_user_may_not_run_is_not_allowed(host: TestHost, open_folder: Path) -> None:
    program = open_folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    host.run(str(program), user="nobody")
    assert host.ended().start_error_kind == "not allowed"


def test_a_user_that_does_not_exist_is_not_found(host: TestHost) -> None:
    host.run("true", user="no-such-user")
    end = host.ended()
    assert end.start_error_kind == "not found"
    assert end.start_error == "cannot run as 'no-such-user': there is no such user on this host"


def test_an_agent_that_is_not_root_may_not_switch_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(StartRefused, match="only an agent that runs as root") as refused:
        account_of("nobody")
    assert refused.value.kind == "not allowed"


def test_the_agents_own_user_needs_no_switch() -> None:
    assert account_of(str(os.geteuid())) is None
    assert account_of("") is None


@pytest.mark.parametrize(
    ("argv", "cwd", "kind"),
    [
        (["no-such-program"], "", "not found"),
        (["/etc/passwd"], "", "not allowed"),
        (["true"], "/no/such/folder", "not found"),
        (["x" * 200_000], "", "other"),
        ([], "", "other"),
    ],
)
def test_start_errors_are_told_apart(host: TestHost, argv: list[str], cwd: str, kind: str) -> None:
    host.run(*argv, cwd=cwd)
    end = host.ended()
    assert end.start_error
    assert (end.start_error_kind, end.exit_code) == (kind, None)


def test_the_same_start_errors_are_told_within_limits(host: TestHost) -> None:
    host.run("no-such-program", limits=Limits(open_files=64))
    host.run("true", unit="command/2", limits=Limits(open_files=64), cwd="/no/such/folder")
    assert host.ended().start_error == "cannot start 'no-such-program': No such file or directory"
    assert host.ended("command/2").start_error.startswith("cannot enter the working directory '/no/such/folder'")
    assert host.ended("command/2").start_error_kind == "not found"


def test_limits_hold_in_the_command(host: TestHost) -> None:
    host.run("sh", "-c", "ulimit -n; ulimit -d; ulimit -t", limits=Limits(memory_mb=64, cpu_seconds=7, open_files=50))
    assert host.ended().exit_code == 0
    assert host.output().split() == [b"50", b"65536", b"7"]


def test_without_limits_a_command_has_those_of_the_agent(host: TestHost) -> None:
    host.run("sh", "-c", "ulimit -d; ulimit -t")
    host.ended()
    assert host.output().split() == [b"unlimited", b"unlimited"]


def test_a_command_that_takes_too_much_memory_fails(host: TestHost) -> None:
    program = "x = bytearray(300 * 1024 * 1024)"
    host.run("/usr/bin/env", "python3", "-c", program, limits=Limits(memory_mb=100))
    host.run("/usr/bin/env", "python3", "-c", program, unit="command/2", limits=Limits(memory_mb=900))
    assert host.ended().exit_code == 1
    assert b"MemoryError" in host.output(stream="stderr")
    assert host.ended("command/2").exit_code == 0


def test_a_command_that_takes_too_much_cpu_time_is_ended(host: TestHost) -> None:
    host.run("sh", "-c", "while :; do :; done", limits=Limits(cpu_seconds=1))
    end = host.ended()
    assert end.signal == signal.SIGXCPU
    assert end.usage is not None
    assert 0.9 <= end.usage.cpu_user_s + end.usage.cpu_system_s < 3


def test_what_a_command_used_is_measured(host: TestHost) -> None:
    program = "x = bytearray(80 * 1024 * 1024)\nfor i in range(2_000_000): pass"
    host.run("sh", "-c", f"sleep 0.2; python3 -c '{program}'")
    usage = host.ended().usage
    assert usage is not None
    assert usage.max_rss_kb > 80 * 1024
    assert usage.cpu_user_s > 0.02
    assert usage.wall_s > 0.2


def test_the_command_with_the_highest_priority_starts_first(new_host: Callable[..., TestHost], tmp_path: Path) -> None:
    host = new_host(slots=1)
    ran = tmp_path / "ran"

    def order(name: str, priority: int) -> RunCommand:
        argv = ["sh", "-c", f"echo {name} >> {ran}; sleep 0.3"]
        return RunCommand(unit=f"command/{name}", attempt=1, argv=argv, priority=priority)

    host.order(order("first", 0))
    host.order(order("low", -5), order("usual", 0), order("high", 5))
    host.ended("command/low")

    assert ran.read_text().split() == ["first", "high", "usual", "low"]


def test_memory_is_limited_by_a_cgroup_where_the_agent_has_one(tmp_path: Path) -> None:
    """A folder stands in for the kernel's: it takes the same writes."""
    spec = Spec(unit="command/1", attempt=1, argv=["true"], memory_mb=64, cgroup=str(tmp_path))

    group = make_group(spec, "one")

    assert group == tmp_path / "one"
    assert (group / "memory.max").read_text() == str(64 * 1024 * 1024)
    assert (group / "memory.oom.group").read_text() == "1"


def test_a_cgroup_is_joined_and_removed(new_host: Callable[..., TestHost], tmp_path: Path) -> None:
    host = new_host(cgroup=str(tmp_path / "cgroup"))
    (tmp_path / "cgroup").mkdir()
    host.run("sh", "-c", "ulimit -d", limits=Limits(memory_mb=64))
    host.ended()
    (group,) = (tmp_path / "cgroup").iterdir()
    assert (group / "cgroup.procs").read_text() == "0"
    assert host.output() == b"unlimited\n"
    for file in group.iterdir():
        file.unlink()
    remove_group(Spec(unit="u", attempt=1, argv=[], memory_mb=1, cgroup=str(tmp_path / "cgroup")), group.name)
    assert not group.exists()


def test_without_a_usable_cgroup_each_process_is_limited(new_host: Callable[..., TestHost]) -> None:
    host = new_host(cgroup="/no/such/cgroup")
    host.run("sh", "-c", "ulimit -d", limits=Limits(memory_mb=64))
    host.ended()
    assert host.output() == b"65536\n"


def test_what_leaves_its_group_is_ended_after_the_command(host: TestHost) -> None:
    host.run("sh", "-c", "setsid sleep 60 & exit 3")
    assert host.ended().exit_code == 3
    wait_until(lambda: host.processes() == [], what="the end of what the command left behind")


def test_what_leaves_its_group_and_is_deaf_is_killed(host: TestHost) -> None:
    script = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
    host.run("sh", "-c", f'setsid sh -c "{script}" & sleep 0.3')
    host.ended()
    wait_until(lambda: host.processes() == [], what="the end of what the command left behind")


def test_what_leaves_its_group_may_run_while_the_command_does(host: TestHost) -> None:
    host.run("sh", "-c", "setsid sleep 60 & sleep 4; kill -0 $!; echo $?")
    host.run("true", unit="command/2")
    host.ended()
    assert host.output() == b"0\n"


def test_what_a_command_left_while_there_was_no_supervisor_is_ended(host: TestHost) -> None:
    host.run("sh", "-c", "setsid sleep 60 & sleep 1")
    wait_until(lambda: len(host.processes()) == 3)
    host.stop()
    host.kill_supervisor()
    wait_until(lambda: len(host.processes()) == 1)
    host.start()
    host.ended()
    wait_until(lambda: host.processes() == [], what="the end of what the command left behind")


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("script", "unit_of_output", "size"),
    [
        ("head -c {size} /dev/zero", b"\0", 100 * MIB),
        ("head -c {size} /dev/zero | tr '\\0' '\\377'", b"\xff", 3 * MIB),
    ],
    ids=["100 MB without a newline", "no UTF-8"],
)
def test_large_output_arrives_whole_where_the_limit_allows_it(
    host: TestHost, script: str, unit_of_output: bytes, size: int
) -> None:
    host.run("sh", "-c", script.format(size=size), output_limit_bytes=size)

    end = host.ended(timeout_s=60)

    assert end.stdout_bytes == size
    pieces = {piece.offset: piece.data for piece in host.of(Output)}
    assert sum(len(data) for data in pieces.values()) == size
    assert all(data == unit_of_output * len(data) for data in pieces.values())


def test_of_100_megabytes_the_first_arrive_and_the_size_is_told(host: TestHost) -> None:
    host.run("sh", "-c", f"yes 0123456 | head -c {100 * MIB}", output_limit_bytes=MIB)
    end = host.ended(timeout_s=60)
    assert end.stdout_bytes == 100 * MIB
    assert host.output() == b"0123456\n" * (MIB // 8)
