"""A real agent under a policy: what its host does not let run is not run, whoever asks."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scheduler_project.toolkit.errors import ConfigurationError
from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.agent.config import agent_config
from workers.agent.gate import load_policy
from workers.protocol import Check, Container, Heartbeat, KeepTask, Limits, StopUnit

NewHost = Callable[..., TestHost]
CALM = """
[users]
allow = ["root", "nobody"]
[commands]
allow = [["/bin/echo", "**"], ["/bin/sh", "-c", "**"]]
deny = [["/bin/sh", "-c", "*forbidden*"]]
[env]
allow = ["*"]
deny = ["LD_*", "PATH"]
"""


@pytest.fixture
def guarded(new_host: NewHost, tmp_path: Path) -> Callable[[str], TestHost]:
    """A host under a policy."""

    def make(text: str) -> TestHost:
        file = tmp_path / "policy.toml"
        file.write_text(text)
        return new_host(policy=load_policy(str(file)))

    return make


def task(start: str, script: str = "", **options: object) -> KeepTask:
    checks = [Check(id="c", script=script, interval_s=0.2)] if script else []
    return KeepTask(
        unit="task/web",
        attempt=1,
        containers=[Container(name="main", executor="bash", options={"start": start, **options})],
        checks=checks,
    )


def test_what_is_allowed_runs_and_what_is_not_is_told_with_the_rule(
    guarded: Callable[[str], TestHost], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host = guarded(CALM)
    trace = tmp_path / "trace"

    host.run("echo", "hello")
    host.run("touch", str(trace), unit="command/2")
    host.run("sh", "-c", f"touch {trace} # forbidden", unit="command/3")
    host.run("echo", "x", unit="command/4", env={"LD_PRELOAD": "x.so"})
    host.run("echo", "x", unit="command/5", user="daemon")
    host.run("no-such-program", unit="command/6")

    assert host.ended().exit_code == 0
    assert host.output() == b"hello\n"
    told = {number: host.ended(f"command/{number}") for number in range(2, 7)}
    assert [told[number].start_error_kind for number in range(2, 7)] == ["not allowed"] * 4 + ["not found"]
    assert "with these arguments fits nothing in commands.allow" in told[2].start_error
    assert "is denied by commands.deny" in told[3].start_error
    assert "variable LD_PRELOAD is denied by env.deny 'LD_*'" in told[4].start_error
    assert "user daemon fits nothing in users.allow" in told[5].start_error
    assert not trace.exists()
    assert "order.forbidden unit=command/3" in caplog.text


def test_a_program_is_judged_by_where_it_is_not_by_its_name(guarded: Callable[[str], TestHost], tmp_path: Path) -> None:
    """A foreign `echo`, a link, a way through /proc and a PATH of one's own all lead to the same judgement."""
    host = guarded('[commands]\nallow = [["/bin/echo", "**"]]')
    touch = shutil.which("touch") or ""
    (tmp_path / "echo").symlink_to(touch)

    host.run("echo", str(tmp_path / "a"), env={"PATH": str(tmp_path)})
    host.run(str(tmp_path / "echo"), str(tmp_path / "a"), unit="command/2")
    host.run(f"/proc/self/root{touch}", str(tmp_path / "a"), unit="command/3")
    host.run("./echo", str(tmp_path / "a"), unit="command/4", cwd=str(tmp_path))
    host.run("/proc/self/root/bin/echo", "fine", unit="command/5")

    kinds = [host.ended(f"command/{number}").start_error_kind for number in range(1, 5)]
    assert kinds == ["not allowed"] * 4
    assert host.ended("command/5").exit_code == 0
    assert not (tmp_path / "a").exists()


def test_folders_and_limits_hold_for_commands(guarded: Callable[[str], TestHost], tmp_path: Path) -> None:
    (tmp_path / "way-out").symlink_to("/etc")
    folders = f'[folders]\nallow = ["{tmp_path}", "{tmp_path}/*"]'
    host = guarded(folders + "\n[limits]\ntimeout_max_s = 10\nmemory_max_mb = 64")
    within: dict[str, Any] = {"timeout_s": 10, "limits": Limits(memory_mb=64)}

    host.run("pwd", cwd=str(tmp_path), **within)
    host.run("pwd", unit="command/2", cwd=str(tmp_path / "way-out"), **within)
    host.run("pwd", unit="command/3", **within)
    host.run("pwd", unit="command/4", cwd=str(tmp_path), timeout_s=10)

    assert host.ended().exit_code == 0
    assert "folder /etc fits nothing" in host.ended("command/2").start_error
    assert "folder / fits nothing" in host.ended("command/3").start_error
    assert "memory_mb is 0" in host.ended("command/4").start_error


def test_services_are_under_the_same_rules(guarded: Callable[[str], TestHost]) -> None:
    host = guarded(CALM)

    host.order(task("touch forbidden"))
    rejected = host.wait_state("rejected")
    host.order(msgspec.structs.replace(task("exec sleep 60", script="touch forbidden"), unit="task/checked"))
    by_check = host.wait_state("rejected", unit="task/checked")

    assert "commands.deny" in rejected.reason
    assert "commands.deny" in by_check.reason
    assert host.processes() == []


def test_an_allowed_service_runs_with_its_check(guarded: Callable[[str], TestHost]) -> None:
    host = guarded(CALM)
    host.order(task("exec sleep 60", script="true"))
    host.wait_state("running")
    host.order(StopUnit(unit="task/web", attempt=1, grace_s=1))
    host.wait_state("stopped")


def test_what_a_new_policy_forbids_is_stopped_when_the_agent_comes_back(
    guarded: Callable[[str], TestHost], tmp_path: Path
) -> None:
    """Without the stop command that it forbids as well."""
    host = guarded("")
    host.order(task("exec sleep 60", stop=f"touch {tmp_path / 'trace'}"))
    host.wait_state("running")

    file = tmp_path / "strict.toml"
    file.write_text('[executors]\nallow = ["command"]')
    host.stop()
    host.config = replace(host.config, policy=load_policy(str(file)))
    host.start()

    assert "executors.allow" in host.wait_state("stopped").reason
    assert not (tmp_path / "trace").exists()
    assert host.processes() == []


def test_a_host_offers_only_the_executors_that_it_allows(guarded: Callable[[str], TestHost]) -> None:
    host = guarded('[executors]\nallow = ["command"]')
    heartbeats: list[Heartbeat] = wait_until(lambda: host.control.heartbeats)
    assert heartbeats[0].facts["executors"] == []


@pytest.mark.parametrize("text", [None, "[users]\nalow = []", b"\xff"])
def test_an_agent_does_not_start_with_a_policy_that_it_cannot_use(tmp_path: Path, text: str | bytes | None) -> None:
    file = tmp_path / "policy.toml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=r"policy\.toml"):
        agent_config("host-a", {"SCHEDULER_AGENT_POLICY": str(file)})


def test_nothing_of_what_was_forbidden_is_logged_but_the_rule(
    guarded: Callable[[str], TestHost], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    host = guarded(CALM)
    host.run("touch", "secret-argument")
    host.ended()
    assert "secret-argument" not in caplog.text
