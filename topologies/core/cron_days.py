"""The two day fields of Quartz cron: which days of a given month a topology fires on.

Invariant: a rule yields days that exist in that month, ascending; an empty answer means "not in this month".
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from typing import Protocol

from topologies.core.cron_fields import DAYS_OF_MONTH, DAYS_OF_WEEK, parse_values, read_value
from topologies.core.errors import BadCron

UNSPECIFIED = "?"
LAST_OFFSET_MAX = 30
DAYS_PER_WEEK = 7
SUNDAY, SATURDAY = 1, 7

LAST_DAY = re.compile(r"L(?:-(?P<offset>[0-9]{1,9}))?(?P<weekday>W)?")
NEAREST_WEEKDAY = re.compile(r"(?P<day>[0-9]{1,9})W")
LAST_OF_KIND = re.compile(r"(?P<weekday>[0-9]{1,9}|[A-Z]+)L")
NTH_OF_KIND = re.compile(r"(?P<weekday>[0-9]{1,9}|[A-Z]+)#(?P<nth>[0-9]{1,9})")


class DayRule(Protocol):
    """Which days of a month match."""

    def days(self, year: int, month: int) -> tuple[int, ...]: ...


def weekday_of(first_weekday: int, day: int) -> int:
    """Quartz's number of a day's weekday, Sunday = 1, from the weekday (Monday = 0) of the month's first day."""
    return (first_weekday + day) % DAYS_PER_WEEK + 1


@dataclass(frozen=True)
class ListedDays:
    """Days by number; a day that the month lacks is left out."""

    values: tuple[int, ...]

    def days(self, year: int, month: int) -> tuple[int, ...]:
        length = monthrange(year, month)[1]
        return tuple(day for day in self.values if day <= length)


@dataclass(frozen=True)
class LastDay:
    """`L`, or `L-3`: so many days before the last one."""

    offset_days: int

    def days(self, year: int, month: int) -> tuple[int, ...]:
        day = monthrange(year, month)[1] - self.offset_days
        return (day,) if day >= 1 else ()


@dataclass(frozen=True)
class NearestWeekday:
    """`15W`, `LW`, `L-3W`: the Monday to Friday nearest to the day that `target` gives, never in another month."""

    target: DayRule

    def days(self, year: int, month: int) -> tuple[int, ...]:
        first_weekday, length = monthrange(year, month)
        return tuple(self.moved(day, weekday_of(first_weekday, day), length) for day in self.target.days(year, month))

    @staticmethod
    def moved(day: int, weekday: int, length: int) -> int:
        if weekday == SATURDAY:
            return day - 1 if day > 1 else day + 2
        if weekday == SUNDAY:
            return day + 1 if day < length else day - 2
        return day


@dataclass(frozen=True)
class Weekdays:
    """Days by Quartz's number of their weekday, Sunday = 1."""

    values: tuple[int, ...]

    def days(self, year: int, month: int) -> tuple[int, ...]:
        first_weekday, length = monthrange(year, month)
        return tuple(day for day in range(1, length + 1) if weekday_of(first_weekday, day) in self.values)


@dataclass(frozen=True)
class LastOfKind:
    """`6L`: the last Friday of the month."""

    weekday: int

    def days(self, year: int, month: int) -> tuple[int, ...]:
        return Weekdays((self.weekday,)).days(year, month)[-1:]


@dataclass(frozen=True)
class NthOfKind:
    """`6#3`: the third Friday of the month; months without a fifth are passed over."""

    weekday: int
    nth: int

    def days(self, year: int, month: int) -> tuple[int, ...]:
        return Weekdays((self.weekday,)).days(year, month)[self.nth - 1 : self.nth]


def parse_days(of_month: str, of_week: str) -> DayRule:
    """The rule of the two day fields, of which exactly one must be `?`. Raises BadCron."""
    if of_month == of_week == UNSPECIFIED:
        raise DAYS_OF_WEEK.bad(of_week, "both day fields are '?'; write '*' in one of them")
    if UNSPECIFIED not in (of_month, of_week):
        raise BadCron(
            f"field 4 (day of month) {of_month!r} and field 6 (day of week) {of_week!r} are both given;"
            " write '?' in the one that does not matter"
        )
    return parse_day_of_week(of_week) if of_month == UNSPECIFIED else parse_day_of_month(of_month)


def parse_day_of_month(text: str) -> DayRule:
    if "," in text and re.search("[LW]", text):
        raise DAYS_OF_MONTH.bad(text, "'L' and 'W' may not be part of a list; use one topology for each")
    if found := LAST_DAY.fullmatch(text):
        last = LastDay(int(found["offset"] or 0))
        if last.offset_days > LAST_OFFSET_MAX:
            raise DAYS_OF_MONTH.bad(text, f"at most {LAST_OFFSET_MAX} days before the last; write L-{LAST_OFFSET_MAX}")
        return NearestWeekday(last) if found["weekday"] else last
    if found := NEAREST_WEEKDAY.fullmatch(text):
        return NearestWeekday(ListedDays((read_value(DAYS_OF_MONTH, text, found["day"]),)))
    if re.search("[LW]", text):
        raise DAYS_OF_MONTH.bad(text, "use L, L-3, LW, L-3W or 15W with a single day")
    return ListedDays(parse_values(DAYS_OF_MONTH, text))


def parse_day_of_week(text: str) -> DayRule:
    if text == "L":
        return Weekdays((SATURDAY,))
    if "," in text and re.search(r"#|L(,|$)", text):
        raise DAYS_OF_WEEK.bad(text, "'#' and 'L' may not be part of a list; use one topology for each")
    if found := NTH_OF_KIND.fullmatch(text):
        if not 1 <= int(found["nth"]) <= 5:
            raise DAYS_OF_WEEK.bad(text, "a number from 1 to 5 must follow '#', as in 6#3 for the third Friday")
        return NthOfKind(read_value(DAYS_OF_WEEK, text, found["weekday"]), int(found["nth"]))
    if "#" in text:
        raise DAYS_OF_WEEK.bad(text, "'#' needs one day before and a number from 1 to 5 after, as in 6#3")
    if found := LAST_OF_KIND.fullmatch(text):
        return LastOfKind(read_value(DAYS_OF_WEEK, text, found["weekday"]))
    return Weekdays(parse_values(DAYS_OF_WEEK, text))
