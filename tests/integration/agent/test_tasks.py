"""Tasks kept running on a host: real processes, real ports, real checks."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import TestHost
from tests.support.servers import free_port
from tests.support.wait import wait_until
from workers.protocol import (
    Accepted,
    Check,
    Container,
    KeepTask,
    QueryUnits,
    Refused,
    SetDraining,
    StopUnit,
    TaskState,
    Unknown,
)

SERVE = 'exec python3 -m http.server "$PROVIDED_PORT" --bind 127.0.0.1 --directory /tmp'
FOREVER = "exec sleep 600"
UNIT = "task/web"


def container(start: Any = FOREVER, name: str = "web", **fields: Any) -> Container:
    options = {"start": start} | ({"stop": fields.pop("stop")} if "stop" in fields else {})
    return Container(name=name, executor="bash", options=options, **fields)


def keep(*containers: Container, attempt: int = 1, unit: str = UNIT, **fields: Any) -> KeepTask:
    return KeepTask(unit=unit, attempt=attempt, containers=list(containers or [container()]), **fields)


def served(port: int, **fields: Any) -> KeepTask:
    """An HTTP server with a check."""
    check = Check(id="http", http=f"http://127.0.0.1:{port}/", interval_s=1, timeout_s=2)
    return keep(container(SERVE), ports={"PROVIDED_PORT": port}, checks=[check], **fields)


def stop(attempt: int = 1, **fields: Any) -> StopUnit:
    return StopUnit(unit=UNIT, attempt=attempt, grace_s=2, **fields)


def states(host: TestHost) -> list[str]:
    """The states that were told, each run of equal ones once."""
    told = [report.state for report in host.of(TaskState, UNIT)]
    return [state for position, state in enumerate(told) if told[position - 1 : position] != [state]]


def test_a_server_is_started_checked_and_stopped(host: TestHost) -> None:
    port = free_port()
    host.order(served(port))
    running = host.wait_state("running")
    assert host.of(Accepted, UNIT)
    assert list(host.processes()) == [running.pid]
    host.order(stop(reason="scaled down"))
    assert host.wait_state("stopped").reason == "scaled down"
    assert states(host) == ["starting", "running", "stopping", "stopped"]
    assert host.processes() == []
    assert not list((host.config.state_dir / "units").iterdir())


def test_a_killed_server_is_back_and_healthy_within_three_seconds(host: TestHost) -> None:
    host.order(served(free_port()))
    first = host.wait_state("running").pid
    os.kill(first, signal.SIGKILL)
    again = host.wait_state("running", timeout_s=3, pid_not=first)
    assert again.restarts == 1
    assert "failing" in states(host)
    assert list(host.processes()) == [again.pid]


def test_a_server_whose_shell_is_killed_is_never_doubled(host: TestHost) -> None:
    port = free_port()
    check = Check(id="http", http=f"http://127.0.0.1:{port}/", interval_s=1)
    behind_a_shell = f"{SERVE.removeprefix('exec ')}; true"
    host.order(keep(container(behind_a_shell), ports={"PROVIDED_PORT": port}, checks=[check]))
    first = host.wait_state("running").pid
    os.kill(first, signal.SIGKILL)
    host.wait_state("running", pid_not=first)
    assert len(host.processes()) == 2


def test_a_taken_port_rejects_and_nothing_is_started(host: TestHost, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        host.order(keep(container(f"touch {tmp_path / 'ran'}"), ports={"main": port}))
        assert host.wait_state("rejected").reason == f"port not available: {port}"
    assert not (tmp_path / "ran").exists()


def test_a_task_that_cannot_start_is_rejected_after_its_attempts(host: TestHost) -> None:
    host.order(keep(container("echo no such luck >&2; exit 3"), max_attempts=2))
    reason = host.wait_state("rejected").reason
    assert reason == "too many attempts: the process of container web ended: exit code 3: no such luck"
    assert host.of(TaskState, UNIT)[-1].restarts == 1


def test_options_that_cannot_be_carried_out_reject_with_their_name(host: TestHost) -> None:
    host.order(keep(Container(name="web", executor="bash", options={})))
    assert "options.start is missing" in host.wait_state("rejected").reason


def test_an_unknown_executor_rejects(host: TestHost) -> None:
    host.order(keep(Container(name="web", executor="rocket")))
    assert "no executor 'rocket'" in host.wait_state("rejected").reason


def test_setup_runs_before_each_start_and_teardown_after_each_end(host: TestHost, tmp_path: Path) -> None:
    said = tmp_path / "said"
    one = container(
        f"echo start >> {said}; exec sleep 600",
        setup=[f"echo setup >> {said}"],
        stop=[f"echo stop >> {said}"],
        teardown=[f"echo teardown >> {said}"],
    )
    host.order(keep(one))
    host.wait_state("running")
    wait_until(lambda: "start\n" in said.read_text())
    host.order(stop())
    host.wait_state("stopped")
    assert said.read_text().split() == ["setup", "start", "stop", "teardown"]


def test_a_failed_setup_is_told_with_its_last_words(host: TestHost) -> None:
    host.order(keep(container(setup=["echo disk is full >&2; exit 4"]), max_attempts=1))
    reason = host.wait_state("rejected").reason
    assert "setup of container web failed" in reason
    assert reason.endswith("exit code 4: disk is full")


def test_a_stop_interrupts_a_long_setup(host: TestHost, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    host.order(keep(container(setup=[f"touch {begun}; sleep 600"])))
    wait_until(begun.exists)
    host.order(stop())
    host.wait_state("stopped")
    assert host.processes() == []


def test_all_containers_of_a_task_run_and_end_together(host: TestHost) -> None:
    host.order(keep(container(name="web"), container(name="side")))
    host.wait_state("running")
    assert len(host.processes()) == 2
    host.order(stop())
    host.wait_state("stopped")
    assert host.processes() == []


def test_processes_see_their_ports_and_variables(host: TestHost, tmp_path: Path) -> None:
    seen, port = tmp_path / "seen", free_port()
    start = f"echo $PROVIDED_PORT $SCHEDULED_PORT $PORT_PROVIDED_PORT $COLOUR > {seen}; exec sleep 600"
    host.order(keep(container(start, env={"COLOUR": "blue"}), ports={"PROVIDED_PORT": port}))
    host.wait_state("running")
    wait_until(lambda: seen.exists() and seen.read_text() == f"{port} {port} {port} blue\n")


def test_a_daemon_that_leaves_its_group_is_ended_with_the_task(host: TestHost) -> None:
    host.order(keep(container("setsid sleep 600 & exec sleep 600")))
    host.wait_state("running")
    wait_until(lambda: len(host.processes()) == 2)
    host.order(stop())
    host.wait_state("stopped")
    assert host.processes() == []


def test_a_check_that_fails_shows_until_it_passes_again(host: TestHost, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    check = Check(id="flag", script=f"test -e {flag} || {{ echo no flag >&2; exit 1; }}", interval_s=0.3)
    host.order(keep(checks=[check]))
    pid = host.wait_state("running").pid
    flag.unlink()
    assert host.wait_state("failing").reason == "check flag: exit code 1: no flag"
    flag.touch()
    assert host.wait_state("running").pid == pid


def test_a_task_whose_check_fails_three_times_is_started_anew(host: TestHost, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    check = Check(id="flag", script=f"test -e {flag}", interval_s=0.1)
    host.order(keep(container(f"touch {flag}; exec sleep 600"), checks=[check]))
    first = host.wait_state("running").pid
    flag.unlink()
    assert host.wait_state("running", pid_not=first).restarts == 1


def test_a_task_that_never_becomes_healthy_is_given_up_with_the_check_named(host: TestHost) -> None:
    check = Check(id="tcp", tcp=f"127.0.0.1:{free_port()}", interval_s=0.1)
    host.order(keep(checks=[check], grace_period_s=0.5, max_attempts=1))
    reason = host.wait_state("rejected").reason
    assert reason == "too many attempts: not healthy within 0.5 s: check tcp: connection refused"


def test_an_order_that_comes_twice_keeps_one_task(host: TestHost) -> None:
    order = keep()
    host.order(order, order)
    host.wait_state("running")
    host.order(order)
    wait_until(lambda: [told.state for told in host.of(TaskState, UNIT)].count("running") == 2)
    assert len(host.processes()) == 1


def test_a_newer_attempt_begins_when_the_older_one_is_gone(host: TestHost) -> None:
    port = free_port()
    host.order(served(port))
    first = host.wait_state("running").pid
    host.order(served(port, attempt=2))
    host.wait_state("running", pid_not=first)
    told = [(report.attempt, report.state) for report in host.of(TaskState, UNIT)]
    assert told.index((1, "stopped")) < told.index((2, "running"))
    assert len(host.processes()) == 1


def test_a_draining_host_refuses_tasks(host: TestHost) -> None:
    host.order(SetDraining(draining=True), keep())
    assert host.wait_for(Refused, UNIT).reason == "the host is draining"


def test_a_query_tells_the_present_state(host: TestHost) -> None:
    host.order(keep())
    host.wait_state("running")
    host.reports.clear()
    host.order(QueryUnits(units=[(UNIT, 1), ("task/other", 1)]))
    assert host.wait_for(TaskState, UNIT).state == "running"
    assert host.wait_for(Unknown, "task/other")


def test_a_running_task_is_untouched_by_the_agents_restart(host: TestHost) -> None:
    host.order(served(free_port()))
    pid = host.wait_state("running").pid
    host.reports.clear()
    host.restart()
    host.order(QueryUnits(units=[(UNIT, 1)]))
    told = host.wait_state("running")
    assert (told.pid, told.restarts) == (pid, 0)
    assert list(host.processes()) == [pid]


def test_a_task_that_died_while_the_agent_was_away_is_started_again(host: TestHost) -> None:
    host.order(served(free_port()))
    first = host.wait_state("running").pid
    host.stop()
    os.kill(first, signal.SIGKILL)
    host.start()
    assert host.wait_state("running", pid_not=first).restarts == 1


def test_a_running_task_is_untouched_by_the_supervisors_end(host: TestHost) -> None:
    host.order(served(free_port()))
    pid = host.wait_state("running").pid
    host.kill_supervisor()
    host.supervisor_pid()
    assert list(host.processes()) == [pid]
    os.kill(pid, signal.SIGKILL)
    again = host.wait_state("running", pid_not=pid)
    assert list(host.processes()) == [again.pid]


def test_a_stop_that_was_under_way_is_finished_by_the_next_agent(host: TestHost) -> None:
    host.order(keep(container("trap '' TERM; while :; do sleep 0.1; done")))
    host.wait_state("running")
    host.order(stop())
    host.wait_state("stopping")
    host.restart()
    host.wait_state("stopped")
    assert host.processes() == []


@pytest.mark.parametrize("after", ["starting", "running"])
def test_killing_agent_and_supervisor_together_never_doubles_a_task(host: TestHost, after: str) -> None:
    host.order(served(free_port()))
    host.wait_state(after)
    host.stop()
    host.kill_supervisor()
    host.start()
    host.wait_state("running")
    assert len(host.processes()) == 1


def test_the_output_of_a_task_does_not_fill_the_disk(new_host: Callable[..., TestHost]) -> None:
    host = new_host(service_log_max_bytes=10_000)
    host.order(keep(container("while :; do echo 0123456789; done")))
    host.wait_state("running")
    (log,) = (host.config.state_dir / "units").glob("*main.stdout")
    sizes: list[int] = []

    def was_cut() -> bool:
        sizes.append(log.stat().st_size)
        return sizes[-1] < max(sizes)

    wait_until(was_cut, timeout_s=10, every_s=0.02, what="the log to be cut")
