"""An agent runs each attempt once, and takes nothing that it could not know of."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.agent import procfs
from workers.agent.folders import RECORD, UNITS
from workers.protocol import Ended, QueryUnits, Started, Unknown


def test_the_journal_keeps_its_name_and_a_new_one_has_another(host: TestHost) -> None:
    first = wait_until(lambda: host.control.heartbeats)[-1]
    host.restart()
    wait_until(lambda: host.control.heartbeats[-1].session != first.session)
    kept = host.control.heartbeats[-1]
    host.stop()
    (host.config.state_dir / "journal.sqlite3").unlink()
    host.start()
    wait_until(lambda: host.control.heartbeats[-1].session != kept.session)

    assert first.journal
    assert kept.journal == first.journal
    assert host.control.heartbeats[-1].journal not in ("", first.journal)


def test_what_was_meant_for_a_lost_journal_is_not_run(host: TestHost, tmp_path: Path) -> None:
    present = wait_until(lambda: host.control.heartbeats)[-1].journal
    host.run("touch", str(tmp_path / "lost"), unit="command/1", journal="another")
    host.run("touch", str(tmp_path / "present"), unit="command/2", journal=present)

    host.ended("command/2")
    host.order(QueryUnits(units=[("command/1", 1)]))
    host.wait_for(Unknown, "command/1")
    assert not (tmp_path / "lost").exists()
    assert (tmp_path / "present").exists()


@pytest.mark.parametrize(("confirms", "runs"), [(False, 1), (True, 2)])
def test_what_has_ended_is_forgotten_only_once_control_knows(
    new_host: Callable[..., TestHost], tmp_path: Path, confirms: bool, runs: int
) -> None:
    host = new_host(keep_ended_s=0)
    host.control.confirms = confirms
    append = ("sh", "-c", f"echo >> {tmp_path / 'runs'}")
    host.run(*append)
    host.ended()
    wait_until(lambda: not confirms or (host.agent is not None and host.agent.unreported == 0))
    host.restart()

    host.run(*append)
    host.run("true", unit="command/2")

    wait_until(lambda: len(host.of(Ended)) + len(host.of(Ended, "command/2")) >= runs + 1, what="both to end")
    wait_until(lambda: (tmp_path / "runs").read_text() == "\n" * runs, what="the runs to be counted")


@pytest.fixture
def reboot(monkeypatch: pytest.MonkeyPatch) -> Callable[[TestHost], None]:
    """The host stops at once and comes up again, with what was not forced to the disk gone."""

    def end(host: TestHost) -> None:
        host.close()
        for record in (host.config.state_dir / UNITS).glob(f"*{RECORD}"):
            record.unlink()
        monkeypatch.setattr(procfs, "boot_id", lambda: "another boot")
        host.start()

    return end


@pytest.mark.parametrize("heard_of_the_start", [True, False])
def test_what_was_handed_over_when_the_power_failed_is_lost_and_what_waited_runs(
    new_host: Callable[..., TestHost], reboot: Callable[[TestHost], None], tmp_path: Path, heard_of_the_start: bool
) -> None:
    host = new_host(slots=1)
    runs = tmp_path / "runs"
    host.run("sh", "-c", f"echo >> {runs}; sleep 60", unit="command/1")
    host.run("true", unit="command/2")
    wait_until(runs.exists, what="the first to run")
    host.wait_for(Started)
    host.close()
    if not heard_of_the_start:
        with closing(sqlite3.connect(host.config.state_dir / "journal.sqlite3", isolation_level=None)) as journal:
            journal.execute("UPDATE units SET state = 'launched' WHERE unit = 'command/1'")

    reboot(host)

    assert "power" in host.ended("command/1").lost
    assert host.ended("command/2").exit_code == 0
    assert runs.read_text() == "\n"


def test_what_was_handed_over_as_only_the_agent_died_runs(host: TestHost, tmp_path: Path) -> None:
    os.kill(host.supervisor_pid(), signal.SIGSTOP)
    host.run("touch", str(tmp_path / "ran"))
    host.stop()
    os.kill(host.supervisor_pid(), signal.SIGKILL)

    host.start()

    assert host.ended().exit_code == 0
    assert (tmp_path / "ran").exists()
