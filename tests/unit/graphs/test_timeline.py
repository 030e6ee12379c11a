"""How a run went in time: since when a component could start, and which chain took until the end."""

from datetime import UTC, datetime, timedelta

from graphs.core.timeline import Ran, critical_path, ready_at

START = datetime(2030, 1, 1, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def ran(**spans: tuple[float, float | None] | None) -> dict[str, Ran]:
    """`a=(0, 2)` began at 0 s and ended at 2 s; `b=(1, None)` still runs; `c=None` did not begin."""
    return {
        name: Ran(None, None) if span is None else Ran(at(span[0]), None if span[1] is None else at(span[1]))
        for name, span in spans.items()
    }


def test_the_chain_goes_back_from_the_last_to_end_by_what_ended_last() -> None:
    found = ran(a=(0, 2), b=(0, 5), c=(5, 6), d=(6, 9), e=(2, 3))
    needed = {"c": ["a", "b"], "d": ["c"], "e": ["a"]}
    assert critical_path(found, needed, at(9)) == ("b", "c", "d")


def test_what_still_runs_is_taken_to_end_now() -> None:
    found = ran(a=(0, 2), b=(0, 5), c=(2, None), d=None)
    assert critical_path(found, {"c": ["a"], "d": ["c"]}, at(7)) == ("a", "c")


def test_nothing_started_has_no_chain() -> None:
    assert critical_path(ran(a=None), {}, at(1)) == ()


def test_a_component_is_ready_when_the_last_that_it_needs_has_ended() -> None:
    found = ran(a=(0, 2), b=(0, 5), c=(0, None))
    assert ready_at(found, ["a", "b"], START) == at(5)
    assert ready_at(found, [], START) == START
    assert ready_at(found, ["a", "c"], START) is None
