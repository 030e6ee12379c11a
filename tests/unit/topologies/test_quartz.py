"""What a cron expression means to its author, and what an author is told who got it wrong."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from topologies.core.errors import BadCron, BadTimezone
from topologies.core.quartz import Quartz

THURSDAY = datetime(2026, 1, 15, 10, 0, 0, 450_000, tzinfo=UTC)


def fires(expression: str, count: int, after: datetime = THURSDAY, timezone: str = "UTC") -> list[str]:
    return [f"{fire:%Y-%m-%d %H:%M:%S}" for fire in Quartz.parse(expression, timezone).upcoming(after, count)]


def test_a_fire_is_strictly_after_the_moment_asked_for() -> None:
    on_the_minute = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)

    assert Quartz.parse("0 * * * * ?", "UTC").next_after(on_the_minute) == on_the_minute + timedelta(minutes=1)


def test_fractions_of_a_second_do_not_move_the_next_fire() -> None:
    assert fires("0/2 * * * * ?", 1) == ["2026-01-15 10:00:02"]


def test_hours_go_round_midnight_seven_times_a_night() -> None:
    night = fires("0 0 22-4 * * ?", 8)

    assert [fire[11:13] for fire in night] == ["22", "23", "00", "01", "02", "03", "04", "22"]


def test_numbers_of_weekdays_start_with_sunday() -> None:
    assert fires("0 0 9 ? * 1", 1) == ["2026-01-18 09:00:00"]
    assert fires("0 0 9 ? * sun", 1) == ["2026-01-18 09:00:00"]


def test_an_expression_is_kept_in_one_spelling() -> None:
    assert Quartz.parse("  0 0  9 ? * fri-mon ", "UTC").expression == "0 0 9 ? * FRI-MON"


@pytest.mark.parametrize("expression", ["0 0 0 30 2 ?", "0 0 0 1 1 ? 2020", "0 0 0 31 4,6,9,11 ?", "0 0 0 29 2 ? 2027"])
def test_an_impossible_date_has_no_next_fire(expression: str) -> None:
    assert Quartz.parse(expression, "Europe/Berlin").next_after(THURSDAY) is None


def test_fires_run_out_at_the_end_of_2099() -> None:
    eve = datetime(2099, 12, 31, 23, 58, 30, tzinfo=UTC)

    assert fires("0 * * * * ?", 5, after=eve) == ["2099-12-31 23:59:00"]


def test_fires_start_in_1970() -> None:
    assert fires("0 0 0 1 1 ?", 1, after=datetime(1950, 1, 1, tzinfo=UTC)) == ["1970-01-01 00:00:00"]


def test_half_past_two_does_not_fire_on_the_day_that_skips_it() -> None:
    eve = datetime(2026, 3, 7, tzinfo=UTC)

    fired = fires("0 30 2 * * ?", 3, after=eve, timezone="America/New_York")

    assert [fire[:10] for fire in fired] == ["2026-03-07", "2026-03-09", "2026-03-10"]


def test_half_past_one_fires_once_and_late_on_the_day_that_shows_it_twice() -> None:
    eve = datetime(2026, 10, 31, 12, tzinfo=UTC)

    assert fires("0 30 1 * * ?", 2, after=eve, timezone="America/New_York") == [
        "2026-11-01 06:30:00",
        "2026-11-02 06:30:00",
    ]


def test_asking_within_the_repeated_hour_misses_no_fire_of_its_second_pass() -> None:
    first_pass = datetime(2026, 11, 1, 1, 40, tzinfo=ZoneInfo("America/New_York"))

    assert fires("0 10 1 * * ?", 1, after=first_pass, timezone="America/New_York") == ["2026-11-01 06:10:00"]


@pytest.mark.parametrize("expression", ["0 15 10 29W 2 ?", "0 15 10 31W 6 ?"])
def test_the_weekday_nearest_to_a_day_that_the_month_lacks_is_in_no_other_month(expression: str) -> None:
    months = {fire.month for fire in Quartz.parse(expression, "UTC").upcoming(THURSDAY, 20)}

    assert months <= {2}


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("0 0 25 * * ?", "field 3 (hours) '25': 25 is outside 0 to 23"),
        ("0/70 * * * * ?", "field 1 (seconds) '0/70': the step 70 is outside 1 to 59"),
        ("*/0 * * * * ?", "field 1 (seconds) '*/0': the step 0 is outside 1 to 59"),
        ("0 0 9 1 FOO ?", "field 5 (month) 'FOO': 'FOO' is no month here; use JAN, FEB"),
        ("0 0 9 ? * 6#6", "field 6 (day of week) '6#6': a number from 1 to 5 must follow '#', as in 6#3"),
        ("0 0 9 ? * 6#", "field 6 (day of week) '6#': '#' needs one day before and a number from 1 to 5 after"),
        ("0 0 9 ? * ?", "field 6 (day of week) '?': both day fields are '?'; write '*' in one of them"),
        ("0 0 9 1 * 2", "write '?' in the one that does not matter"),
        ("0 0 9 1,15,L * ?", "field 4 (day of month) '1,15,L': 'L' and 'W' may not be part of a list"),
        ("0 0 9 ? * 6L,2", "field 6 (day of week) '6L,2': '#' and 'L' may not be part of a list"),
        ("0 0 9 L-31 * ?", "at most 30 days before the last; write L-30"),
        ("0 0 9 1, * ?", "there is nothing beside a comma; remove the comma"),
        ("0 0 9 * * ? 2100", "field 7 (year) '2100': 2100 is outside 1970 to 2099"),
        ("0 0 9 * * ? 2027-2026", "2027 comes after 2026; write 2026-2027"),
        ("? * * * * ?", "'?' may stand only alone, for the day of month or the day of week; write '*'"),
        ("*-5 * * * * ?", "a range needs a value before '-'; write such as 5, 0-5, 0/5 or *"),
        ("*5 * * * * ?", "'*5' is not a value; write such as 5, 0-5, 0/5 or *"),
        ("0/ * * * * ?", "a number must follow '/'; write such as 0/5"),
        ("0 0 9 1 $ ?", "'$' is neither a value, a range nor a step; write such as FEB, FEB-MAR or *"),
        (
            "* * * * *",
            "has 5 of the six or seven fields of Quartz cron: seconds minutes hours day-of-month",
        ),
        ("@daily", "has 1 of the six or seven fields of Quartz cron"),
    ],
)
def test_a_refusal_names_the_field_its_position_and_the_fix(expression: str, told: str) -> None:
    with pytest.raises(BadCron) as refusal:
        Quartz.parse(expression, "UTC")

    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("expression", "quartz_would"),
    [
        ("0 0 9 ? * MON-FRI/2", "ignore the step"),
        ("0 0 9 1 JAN/2 ?", "ignore the step"),
        ("0 0 9 ? * MONDAY", "read three letters"),
        ("0 0 9 1W,15W * ?", "take the first only"),
        ("0 0 9 1-5W * ?", "ignore the W"),
        ("0 0 9 ? * 2-6L", "ignore the L"),
        ("0 0 9 * * ? 2200", "never fire"),
        ("0 0 9 * * ? * 5", "ignore the eighth field"),
        ("0 0 9 1,,2 * ?", "ignore the empty part"),
    ],
)
def test_what_quartz_takes_but_reads_otherwise_is_refused(expression: str, quartz_would: str) -> None:
    with pytest.raises(BadCron):
        Quartz.parse(expression, "UTC")


@pytest.mark.parametrize("timezone", ["Europe/Belrin", "", "../etc/passwd", "/etc/localtime"])
def test_an_unknown_time_zone_is_named(timezone: str) -> None:
    with pytest.raises(BadTimezone, match="use a name such as Europe/Berlin or UTC"):
        Quartz.parse("0 * * * * ?", timezone)
