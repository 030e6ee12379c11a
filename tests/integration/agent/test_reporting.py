"""What the agent tells control, through outages and restarts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler_project.toolkit.errors import ConfigurationError
from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.agent.runtime import AgentRuntime
from workers.protocol import Applied, Ended


def test_the_first_heartbeat_comes_at_once_and_the_last_says_goodbye(host: TestHost) -> None:
    wait_until(lambda: host.control.heartbeats)
    host.stop()
    first, last = host.control.heartbeats[0], host.control.heartbeats[-1]
    assert (first.stopping, last.stopping) == (False, True)
    assert first.facts["ports"] == "31000-31999"
    assert first.facts["executors"] == ["bash"]


def test_heartbeats_come_at_their_interval_and_tell_what_runs(host: TestHost) -> None:
    host.run("sleep", "60")
    wait_until(lambda: host.control.heartbeats and host.control.heartbeats[-1].running == 1)
    times = [beat.sent_at for beat in wait_until(lambda: host.control.heartbeats[5:] and host.control.heartbeats)]
    assert times[5] - times[0] == pytest.approx(5 * 0.2, abs=0.4)


def test_the_worker_id_survives_restarts_and_the_session_does_not(host: TestHost) -> None:
    first = wait_until(lambda: host.control.heartbeats)[-1]
    host.restart()
    wait_until(lambda: host.control.heartbeats[-1].session != first.session)
    assert host.control.heartbeats[-1].worker_id == first.worker_id


def test_the_operator_may_name_the_worker(new_host: Callable[..., TestHost]) -> None:
    host = new_host(worker_id="my-id")
    assert wait_until(lambda: host.control.heartbeats)[0].worker_id == "my-id"


def test_work_goes_on_while_the_broker_is_away_and_is_told_afterwards(
    host: TestHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host.control.reachable = False
    host.run("sh", "-c", f"echo hi; touch {tmp_path / 'ran'}")
    wait_until((tmp_path / "ran").exists)
    wait_until(lambda: "broker.away" in caplog.text)
    assert host.reports == []
    host.control.reachable = True
    assert host.ended().exit_code == 0
    assert host.output() == b"hi\n"
    assert caplog.text.count("broker.away") == 1


def test_what_could_not_be_told_is_told_after_a_restart(host: TestHost) -> None:
    host.control.reachable = False
    host.run("true")
    host.stop()
    host.control.reachable = True
    host.start()
    assert host.ended().exit_code == 0


def test_reports_are_told_again_until_control_has_applied_them(host: TestHost) -> None:
    host.control.confirms = False
    host.run("true")
    wait_until(lambda: host.control.envelopes)
    host.control.confirms = True
    wait_until(lambda: len(host.of(Ended)) >= 1, timeout_s=8, what="the reports to be sent again")
    numbers = [numbered.seq for envelope in host.control.envelopes for numbered in envelope.reports]
    assert numbers.count(1) == 2
    wait_until(lambda: host.agent is not None and host.agent.unreported == 0)


def test_word_for_another_session_confirms_nothing(host: TestHost) -> None:
    host.control.confirms = False
    host.run("true")
    wait_until(lambda: host.control.envelopes)
    host.order(Applied(session="of-another-journal", seq=1000))
    assert host.agent is not None
    assert host.agent.unreported > 0


def test_a_second_agent_on_the_same_folder_is_told_why_it_cannot_start(host: TestHost) -> None:
    with pytest.raises(ConfigurationError, match="another agent already works"):
        AgentRuntime(host.config, host.control.publish, lambda: None)


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="SCHEDULER_AGENT_DIR"):
        TestHost(tmp_path / "file" / "agent").start()


def test_a_supervisor_is_started_again_when_it_ends(host: TestHost) -> None:
    first = host.supervisor_pid()
    host.kill_supervisor()
    assert host.supervisor_pid() != first
    host.run("true")
    assert host.ended().exit_code == 0
