"""What was sent and not answered: marked late, dropped with its connection, forgotten with its reply."""

import pytest

from graphs.bridge import posted
from graphs.bridge.posted import Posted
from graphs.core.advance import PROGRESS, Report
from graphs.core.replies import Reply
from graphs.providers.base import Send


def send(name: str, attempt: int = 1) -> Send:
    return Send(1, "g", name, attempt, "vpc", "create", "demo", {})


def reply(name: str, attempt: int | None = 1, outcome: str = "completed") -> Reply:
    return Reply("g", Report(name, outcome, attempt=attempt), {})


@pytest.fixture
def three() -> Posted:
    found = Posted()
    found.add([send("a"), send("b"), send("c", attempt=2)], connection=1)
    return found


def names(found: Posted) -> list[str]:
    return [one.component_id for one in found.sends]


def test_what_was_answered_needs_no_mark(three: Posted) -> None:
    three.forget_answered([reply("a"), reply("b", attempt=None)])
    assert names(three) == ["c"]


def test_a_sign_of_life_or_the_reply_to_another_attempt_answers_nothing(three: Posted) -> None:
    three.forget_answered([reply("a", outcome=PROGRESS), reply("c", attempt=1)])
    assert names(three) == ["a", "b", "c"]


def test_what_went_by_a_connection_that_was_lost_is_left_to_the_sweep(three: Posted) -> None:
    three.add([send("d")], connection=2)
    assert (three.connection, names(three)) == (2, ["d"])


def test_it_is_not_due_at_once(three: Posted) -> None:
    assert not three.is_due


@pytest.mark.parametrize("limit", [("UNMARKED_MAX", 3), ("MARK_AT_LATEST_S", 0.0)])
def test_it_is_due_when_it_is_too_much_or_has_waited_for_too_long(
    three: Posted, limit: tuple[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posted, *limit)
    assert three.is_due


def test_nothing_is_never_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posted, "MARK_AT_LATEST_S", 0.0)
    assert not Posted().is_due
