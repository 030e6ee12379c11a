"""Which ended commands are forgotten in one step."""

from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler_project.toolkit.retention import first_id_of, over_before
from workers.core.forgetting import EndedCommand, Forgetting, forgetting

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMIT = NOW - timedelta(days=30)


def ended(name: str, **fields: Any) -> EndedCommand:
    given: dict[str, Any] = {"ended_at": LIMIT - timedelta(seconds=1), "awaited": False, "array_id": None}
    return EndedCommand(name, **{**given, "output_bytes": 0, **fields})


def decide(*page: EndedCommand, page_size: int = 100, **asked: Any) -> Forgetting:
    given: dict[str, Any] = {"needed": set(), "unfinished_arrays": set(), "output_bytes": 100}
    return forgetting(page, LIMIT, page_size=page_size, **{**given, **asked})


def test_what_is_over_for_long_enough_goes() -> None:
    assert decide(ended("a"), ended("b", ended_at=LIMIT), ended("c")).ids == ("a", "c")


def test_what_somebody_waits_for_or_needs_stays() -> None:
    page = [ended("awaited", awaited=True), ended("needed"), ended("in-array", array_id="x"), ended("free")]

    assert decide(*page, needed={"needed"}, unfinished_arrays={"x"}).ids == ("free",)


def test_a_step_goes_on_where_the_last_ended_and_begins_anew_after_the_last_page() -> None:
    assert decide(ended("a", awaited=True), ended("b", awaited=True), page_size=2) == Forgetting((), "b")
    assert decide(ended("c"), page_size=2) == Forgetting(("c",), "")
    assert decide() == Forgetting((), "")


def test_a_step_ends_early_where_the_output_is_large_but_never_with_nothing_done() -> None:
    large = [ended(name, output_bytes=60) for name in "abc"]

    assert decide(*large) == Forgetting(("a",), "a")
    assert decide(ended("a", output_bytes=1000), ended("b")) == Forgetting(("a",), "a")


def test_ids_tell_how_old_they_are() -> None:
    assert first_id_of(NOW) == "01a1fdfa-4600-7000-8000-000000000000"
    assert first_id_of(NOW) < first_id_of(NOW + timedelta(milliseconds=1))


def test_no_days_are_for_ever() -> None:
    assert over_before(NOW, 0) is None
    assert over_before(NOW, 30) == LIMIT
