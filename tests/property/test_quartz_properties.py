"""Laws that hold for every cron expression, checked against a matcher that tries every second."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.core.quartz import Quartz

WINDOW = timedelta(hours=3)
SECOND = timedelta(seconds=1)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
CLOCK_CHANGES = [
    datetime(2026, 3, 29, 0, 0, tzinfo=UTC),
    datetime(2026, 10, 24, 23, 30, tzinfo=UTC),
    datetime(2026, 3, 8, 5, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
    datetime(2026, 4, 4, 14, 0, tzinfo=UTC),
]
MOMENTS = st.one_of(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 12, 31), timezones=st.just(UTC)),
    st.sampled_from(CLOCK_CHANGES).flatmap(
        lambda change: st.integers(0, 7200).map(lambda seconds: change + timedelta(seconds=seconds))
    ),
)


@st.composite
def values(draw: st.DrawFn, first: int, last: int) -> tuple[str, frozenset[int]]:
    """A field's text and, written down apart from the parser, what it matches."""
    low, high = draw(st.integers(first, last)), draw(st.integers(first, last))
    step = draw(st.integers(1, last - first))
    size = last - first + 1
    round_to = high if high >= low else high + size
    wrapped = frozenset((value - first) % size + first for value in range(low, round_to + 1, step))
    return draw(
        st.sampled_from(
            [
                ("*", frozenset(range(first, last + 1))),
                (f"{low}", frozenset({low})),
                (f"{low},{high}", frozenset({low, high})),
                (f"{low}/{step}", frozenset(range(low, last + 1, step))),
                (f"{low}-{high}/{step}", wrapped),
            ]
        )
    )


@st.composite
def expressions(draw: st.DrawFn) -> tuple[str, tuple[frozenset[int], ...]]:
    """Texts of all six fields with the sets of seconds, minutes, hours, days, months they match."""
    fields = [draw(values(0, 59)), draw(values(0, 59)), draw(values(0, 23)), draw(values(1, 31)), draw(values(1, 12))]
    return " ".join(text for text, _ in fields) + " ?", tuple(matches for _, matches in fields)


def shown_once_or_last(moment: datetime, zone: ZoneInfo) -> bool:
    local = moment.astimezone(zone)
    return local.fold == 1 or local.utcoffset() == local.replace(fold=1).utcoffset()


@settings(max_examples=60, deadline=None)
@given(expressions(), MOMENTS, ZONES)
def test_the_fires_of_a_window_are_the_matching_seconds(
    written: tuple[str, tuple[frozenset[int], ...]], moment: datetime, timezone: str
) -> None:
    expression, (seconds, minutes, hours, days, months) = written
    zone = ZoneInfo(timezone)
    first = moment.replace(microsecond=0) + SECOND
    matching = []
    for offset in range(int(WINDOW.total_seconds())):
        at = first + timedelta(seconds=offset)
        local = at.astimezone(zone)
        if (
            local.second in seconds
            and local.minute in minutes
            and local.hour in hours
            and local.day in days
            and local.month in months
            and shown_once_or_last(at, zone)
        ):
            matching.append(at)

    fires = Quartz.parse(expression, timezone).upcoming(moment, len(matching) + 1)

    assert [fire for fire in fires if fire < first + WINDOW] == matching


@given(expressions(), MOMENTS, ZONES)
def test_the_next_fire_is_later_and_the_first_of_its_followers(
    written: tuple[str, tuple[frozenset[int], ...]], moment: datetime, timezone: str
) -> None:
    cron = Quartz.parse(written[0], timezone)

    upcoming = cron.upcoming(moment, 3)

    assert upcoming == sorted(set(upcoming))
    assert all(fire > moment and fire.microsecond == 0 for fire in upcoming)
    assert cron.next_after(moment) == (upcoming[0] if upcoming else None)
    for before, after in itertools.pairwise(upcoming):
        assert cron.next_after(before) == after
        assert cron.next_after(after - SECOND / 2) == after
