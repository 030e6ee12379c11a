"""The agent's journal keeps what was taken and what is not yet reported."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from workers.agent.journal import Journal
from workers.protocol import Accepted, Ended, RunCommand

ORDER = RunCommand(unit="command/1", attempt=1, argv=["true"])
ACCEPTED = Accepted(unit="command/1", attempt=1, at=1)
ENDED = Ended(unit="command/1", attempt=1, at=2, exit_code=0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite3")
    yield journal
    journal.close()


def take(journal: Journal, attempt: int = 1) -> bool:
    return journal.take(ORDER, "command/1", attempt, "command", "queued", now=attempt)


def test_an_attempt_is_taken_once(journal: Journal) -> None:
    assert take(journal)
    assert not take(journal)
    assert take(journal, attempt=2)


def test_the_latest_attempt_is_the_newest(journal: Journal) -> None:
    take(journal, 2)
    take(journal, 1)
    found = journal.latest("command/1")
    assert found is not None
    assert found.attempt == 2


def test_what_was_taken_is_still_known_after_a_restart(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.sqlite3")
    take(first)
    first.set_sent("command/1", 1, 10, 20)
    first.close()
    second = Journal(tmp_path / "journal.sqlite3")
    (entry,) = second.unfinished("command")
    second.close()
    assert (entry.unit, entry.attempt, entry.stdout_sent, entry.stderr_sent) == ("command/1", 1, 10, 20)


def test_a_state_and_its_report_are_written_together(journal: Journal) -> None:
    take(journal)
    journal.finish("command/1", 1, "over", ENDED, now=5)
    assert journal.unfinished("command") == []
    assert len(journal.unreported(10, 10_000)) == 1
    entry = journal.find("command/1", 1)
    assert entry is not None
    assert entry.is_over
    assert b'"exit_code":0' in entry.report


def test_reports_leave_the_spool_when_applied_and_numbers_are_never_used_again(journal: Journal) -> None:
    journal.spool([ACCEPTED, ENDED])
    journal.applied(2)
    assert journal.newest_seq() == 0
    journal.spool([ACCEPTED])
    assert [seq for seq, _ in journal.unreported(10, 10_000)] == [3]


def test_a_batch_is_bounded_but_never_empty(journal: Journal) -> None:
    journal.spool([ACCEPTED] * 3)
    assert len(journal.unreported(limit=2, limit_bytes=10_000)) == 2
    assert len(journal.unreported(limit=3, limit_bytes=1)) == 1


def test_the_size_of_the_spool_follows_what_comes_goes_and_fails(journal: Journal) -> None:
    journal.spool([ACCEPTED])
    one = journal.spool_bytes()
    journal.spool([ACCEPTED])
    assert journal.spool_bytes() == 2 * one

    with suppress(OSError), journal.transaction():
        journal.spool([ACCEPTED])
        raise OSError
    assert journal.spool_bytes() == 2 * one
    journal.applied(1)
    assert journal.spool_bytes() == one
    journal.applied(2)
    assert journal.spool_bytes() == 0


def test_a_transaction_that_fails_leaves_nothing(journal: Journal) -> None:
    done: list[str] = []

    def half() -> None:
        with journal.transaction():
            take(journal)
            journal.spool([ACCEPTED])
            journal.after_commit(lambda: done.append("effect"))
            raise OSError

    with pytest.raises(OSError):
        half()
    with journal.transaction():
        journal.remember("key", "value")
    assert journal.find("command/1", 1) is None
    assert journal.newest_seq() == 0
    assert done == []


def test_effects_come_after_the_outermost_commit(journal: Journal) -> None:
    done: list[str] = []
    journal.on_spooled = lambda: done.append("spooled")
    with journal.transaction():
        with journal.transaction():
            journal.spool([ACCEPTED])
            journal.after_commit(lambda: done.append("effect"))
        assert done == []
    assert done == ["spooled", "effect"]


def test_an_attempt_that_was_stopped_before_it_came_is_over(journal: Journal) -> None:
    journal.bury(ORDER, "command/1", 1, "command", ACCEPTED, now=5)
    assert not take(journal)
    assert journal.unfinished("command") == []
    assert journal.newest_seq() == 0


def test_what_is_over_for_long_can_be_forgotten(journal: Journal) -> None:
    take(journal)
    take(journal, 2)
    journal.finish("command/1", 1, "over", ENDED, now=5)
    old = journal.over_before(6)
    journal.delete(old)
    assert [entry.attempt for entry in old] == [1]
    assert journal.find("command/1", 1) is None
    assert journal.find("command/1", 2) is not None


def test_what_is_remembered_first_stays(journal: Journal) -> None:
    assert journal.remembered("worker_id", "first") == "first"
    assert journal.remembered("worker_id", "second") == "first"
    journal.remember("worker_id", "third")
    assert journal.remembered("worker_id", "second") == "third"
