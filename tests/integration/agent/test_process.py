"""One supervised process and its folder."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.wait import wait_until
from workers.agent.folders import UNITS, End, Folder, Spec, ended_before, unended
from workers.agent.process import Process, outcome_of, spawn, uptime_s

MEGABYTE = 1 << 20
DEAF = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"


def started(folder: Folder, *argv: str, **fields: object) -> Process:
    process = spawn(folder, Spec(unit="command/1", attempt=1, argv=list(argv), **fields))  # type: ignore[arg-type]
    assert isinstance(process, Process)
    return process


def finish(process: Process) -> End:
    """Waits as the supervisor does."""
    _, status = os.waitpid(process.start.pid, 0)
    process.leader_ended(outcome_of(status))
    wait_until(lambda: process.tick(uptime_s()) is None)
    assert process.end is not None
    return process.end


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / UNITS).mkdir()
    return Folder(tmp_path, "one")


def test_a_folder_keeps_what_was_to_run_that_it_started_and_how_it_ended(folder: Folder, tmp_path: Path) -> None:
    process = started(folder, "sh", "-c", "echo hi; exit 4")
    assert [found.name for found in unended(tmp_path)] == ["one"]
    end = finish(process)
    assert folder.spec() == process.spec
    assert folder.start() == process.start
    assert folder.end() == end
    assert (end.exit_code, end.stdout_bytes) == (4, 3)
    assert unended(tmp_path) == []
    assert [found.name for found in ended_before(tmp_path, end.at + 60)] == ["one"]
    assert ended_before(tmp_path, end.at - 60) == []


def test_a_folder_is_used_once(folder: Folder) -> None:
    finish(started(folder, "true"))
    with pytest.raises(FileExistsError):
        spawn(folder, Spec(unit="command/1", attempt=1, argv=["true"]))


def test_a_folder_that_cannot_be_made_is_a_start_error(tmp_path: Path) -> None:
    (tmp_path / UNITS).write_text("")
    end = spawn(Folder(tmp_path, "one"), Spec(unit="command/1", attempt=1, argv=["true"]))
    assert isinstance(end, End)
    assert "its folder cannot be made" in end.start_error


def test_a_line_cut_off_by_a_power_failure_counts_as_missing(folder: Folder) -> None:
    end = finish(started(folder, "true"))
    record = Path(folder.file("record"))
    record.write_bytes(record.read_bytes()[:-10])
    assert folder.start() is not None
    assert folder.end() is None
    folder.ended(end)
    assert folder.end() == end


def test_a_removed_folder_leaves_no_file(folder: Folder) -> None:
    finish(started(folder, "true"))
    assert folder.exists()
    folder.remove()
    assert list(folder.path.parent.iterdir()) == []


def test_output_that_grows_too_large_is_cut_in_place_and_still_counted(folder: Folder) -> None:
    write = f"head -c {MEGABYTE} /dev/zero; read _ < {folder.path.parent}/go; echo end"
    os.mkfifo(folder.path.parent / "go")
    process = started(folder, "sh", "-c", write, output_keep_bytes=10, output_max_bytes=1000)
    wait_until(lambda: folder.size("stdout") == MEGABYTE)
    process.cut_output()
    assert folder.size("stdout") == 10
    (folder.path.parent / "go").write_text("\n")
    assert finish(process).stdout_bytes == MEGABYTE + len("end\n")


def test_a_deadline_is_due_and_then_its_kill(folder: Folder) -> None:
    process = started(folder, "sh", "-c", DEAF, timeout_s=5, grace_s=3)
    wait_until(lambda: folder.size("stdout"), what="the shell to be deaf to TERM")
    deadline = process.start.up_s + 5
    assert process.due_at() == pytest.approx(deadline)
    assert process.tick(deadline) == pytest.approx(deadline + 3)
    assert process.tick(deadline + 3) is None
    end = finish(process)
    assert (end.timed_out, end.cancelled, end.signal) == (True, False, signal.SIGKILL)


def test_a_cancel_may_shorten_a_grace_but_not_lengthen_it(folder: Folder) -> None:
    process = started(folder, "sh", "-c", DEAF)
    process.cancel(grace_s=10, now=100)
    process.cancel(grace_s=2, now=101)
    process.cancel(grace_s=50, now=102)
    assert process.due_at() == 103
    process.tick(103)
    assert finish(process).cancelled


def test_a_number_that_was_given_to_another_process_is_not_signalled(folder: Folder) -> None:
    process = started(folder, "sleep", "60")
    stranger = Process(folder, process.spec, process.start.__class__(**{**vars(process.start), "started_ticks": 1}))
    stranger.stop(grace_s=0, now=1)
    stranger.tick(2)
    os.kill(process.start.pid, 0)
    process.cancel(grace_s=1, now=uptime_s())
    finish(process)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (End(at=0, exit_code=3), "exit code 3"),
        (End(at=0, signal=9), "signal 9"),
        (End(at=0, signal=15, timed_out=True), "time limit, then signal 15"),
        (End(at=0, lost="the host was restarted"), "the host was restarted"),
        (End(at=0, start_error="cannot start it"), "cannot start it"),
    ],
)
def test_an_end_reads_well(end: End, words: str) -> None:
    assert str(end) == words
