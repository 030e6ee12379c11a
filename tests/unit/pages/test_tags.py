"""States, moments and bars are shown the same on every page."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduler_project.templatetags import pages

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=0.42), "0.4 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=185), "3 min 5 s"),
        (timedelta(hours=2, minutes=7), "2 h 7 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
        (timedelta(seconds=-1), "0.0 s"),
    ],
)
def test_a_duration_is_told_in_two_units(length: timedelta, words: str) -> None:
    assert pages.in_words(length) == words


def test_a_state_is_told_in_words_and_escaped() -> None:
    assert ">&lt;b&gt;<" in pages.state("<b>")


def test_a_moment_carries_its_exact_time() -> None:
    assert 'title="2030-01-02 03:04:05 UTC"' in pages.moment(NOW)


def test_what_never_happened_is_a_dash() -> None:
    assert pages.NOTHING in pages.moment(None)
    assert pages.NOTHING in pages.duration(None)


def test_what_still_runs_is_counted_by_the_page() -> None:
    assert f'data-since="{NOW.isoformat()}"' in pages.duration(NOW)


def test_what_ended_has_a_fixed_duration() -> None:
    assert pages.duration(NOW, NOW + timedelta(seconds=12)) == "<span>12 s</span>"


def test_a_bar_of_progress_says_its_numbers_and_fills_the_whole() -> None:
    bar = pages.progress({"waiting": 1, "completed": 3})

    assert 'aria-label="1 waiting, 3 completed"' in bar
    assert '<rect data-state="completed" x="0.00%" width="75.00%"' in bar
    assert '<rect data-state="waiting" x="75.00%" width="25.00%"' in bar


def test_a_graph_with_nothing_to_do_has_an_empty_bar() -> None:
    assert "nothing to do" in pages.progress({"waiting": 0})


def test_a_subject_leads_to_its_page_where_it_has_one() -> None:
    assert pages.subject("worker:host-a") == '<a href="/hosts/host-a">host <code>host-a</code></a>'
    assert pages.subject("lease:clock") == "<code>lease:clock</code>"
