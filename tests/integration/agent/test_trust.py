"""How an agent joins, whom it obeys, and what it says when control does not know it."""

from dataclasses import replace
from pathlib import Path

import pytest

from scheduler_project.toolkit.errors import ConfigurationError
from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.agent.config import AgentConfig, join_token
from workers.agent.journal import Journal
from workers.agent.trust import Trust
from workers.protocol import Rejected


@pytest.mark.parametrize("token", ["", "sjt1.a.b"])
def test_an_agent_without_a_whole_token_says_what_to_do(tmp_path: Path, token: str) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    with pytest.raises(ConfigurationError, match="SCHEDULER_JOIN_TOKEN"):
        Trust(AgentConfig("host-x", tmp_path, join_token=token), "w1", journal)
    journal.close()


def test_the_token_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("text\n")
    assert join_token({"SCHEDULER_JOIN_TOKEN_FILE": str(tmp_path / "token")}) == "text"
    assert join_token({"SCHEDULER_JOIN_TOKEN_FILE": str(tmp_path / "none")}) == ""
    assert join_token({"SCHEDULER_JOIN_TOKEN_FILE": str(tmp_path)[:-1] + "/none", "SCHEDULER_JOIN_TOKEN": "x"}) == "x"


def test_key_and_enrolment_are_for_their_owner_alone_and_last(host: TestHost) -> None:
    files = [host.config.state_dir / name for name in ("agent.key", "enrolment.json")]
    wait_until(files[1].exists)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    host.config = replace(host.config, join_token="")
    host.restart()
    host.run("true")
    assert host.ended().exit_code == 0


def test_an_agent_that_control_does_not_know_enrols_anew(host: TestHost, caplog: pytest.LogCaptureFixture) -> None:
    wait_until(lambda: host.control.heartbeats)
    host.order(Rejected(reason="it has no key here"))
    wait_until(lambda: "agent.enrols_anew" in caplog.text)
    before = len(host.control.heartbeats)
    wait_until(lambda: len(host.control.heartbeats) > before, what="it to be heard again")
