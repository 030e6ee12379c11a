"""Quartz cron expressions in an explicit time zone, as Quartz 2.3.2 fires them.

Invariant: fire instants are a fixed set that does not depend on where the search starts. A local time that the zone's
clock skips never fires; one that it shows twice fires once, at the later instant.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from topologies.core.cron_days import DayRule, parse_days
from topologies.core.cron_fields import (
    HOURS,
    MINUTES,
    MONTHS_OF_YEAR,
    SECONDS,
    YEARS,
    parse_values,
)
from topologies.core.errors import BadCron, BadTimezone

FIELDS_MIN, FIELDS_MAX = 6, 7
SECOND = timedelta(seconds=1)


def zone_named(name: str) -> ZoneInfo:
    """Raises BadTimezone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadTimezone(f"there is no time zone {name!r}; use a name such as Europe/Berlin or UTC") from error


@dataclass(frozen=True)
class Quartz:
    """A cron expression: `seconds minutes hours day-of-month month day-of-week [year]`, in a time zone.

    Build it with `Quartz.parse`; the fields are sorted tuples of what matches.
    """

    expression: str
    zone: ZoneInfo
    seconds: tuple[int, ...] = field(repr=False)
    minutes: tuple[int, ...] = field(repr=False)
    hours: tuple[int, ...] = field(repr=False)
    months: tuple[int, ...] = field(repr=False)
    years: tuple[int, ...] = field(repr=False)
    day_rule: DayRule = field(repr=False)

    @classmethod
    def parse(cls, expression: str, timezone: str) -> "Quartz":
        """Raises BadCron or BadTimezone, each with what to write instead."""
        words = expression.upper().split()
        if not FIELDS_MIN <= len(words) <= FIELDS_MAX:
            raise BadCron(
                f"{expression!r} has {len(words)} of the six or seven fields of Quartz cron:"
                " seconds minutes hours day-of-month month day-of-week [year], such as '0 30 2 * * ?'"
            )
        return cls(
            expression=" ".join(words),
            zone=zone_named(timezone),
            seconds=parse_values(SECONDS, words[0]),
            minutes=parse_values(MINUTES, words[1]),
            hours=parse_values(HOURS, words[2]),
            months=parse_values(MONTHS_OF_YEAR, words[4]),
            years=parse_values(YEARS, words[6] if len(words) == FIELDS_MAX else "*"),
            day_rule=parse_days(words[3], words[5]),
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly after an aware moment, in UTC; None where there is none up to the year 2099."""
        return next(self.fires_after(moment), None)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """The next `count` fires strictly after an aware moment, fewer where the expression runs out."""
        return [fire for _, fire in zip(range(count), self.fires_after(moment), strict=False)]

    def fires_after(self, moment: datetime) -> Iterator[datetime]:
        """All fires strictly after an aware moment, in UTC, ascending."""
        for local in self.local_times(earliest_local(moment, self.zone)):
            fire = self.instant_of(local)
            if fire is not None and fire > moment:
                yield fire

    def instant_of(self, local: datetime) -> datetime | None:
        """The instant of a local time, the later of two; None where the zone's clock skips it."""
        instant = local.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        shown = instant.astimezone(self.zone).replace(tzinfo=None, fold=0)
        return instant if shown == local else None

    def local_times(self, start: datetime) -> Iterator[datetime]:
        """Matching local times, naive, from `start` (included) on."""
        for day in self.local_days(start):
            first = start.time() if day.date() == start.date() else time.min
            for at in self.times_from(first):
                yield datetime.combine(day, at)

    def local_days(self, start: datetime) -> Iterator[datetime]:
        """Matching local days, as naive midnights, from the day of `start` on."""
        today = start.replace(hour=0, minute=0, second=0, microsecond=0)
        for year in self.years[bisect_left(self.years, start.year) :]:
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                for number in self.day_rule.days(year, month):
                    day = datetime(year, month, number)
                    if day >= today:
                        yield day

    def times_from(self, first: time) -> Iterator[time]:
        """Matching times of a day from `first` on; hours and minutes before it are not even looked at."""
        for hour in self.hours[bisect_left(self.hours, first.hour) :]:
            minute_min = first.minute if hour == first.hour else 0
            for minute in self.minutes[bisect_left(self.minutes, minute_min) :]:
                second_min = first.second if (hour, minute) == (first.hour, first.minute) else 0
                for second in self.seconds[bisect_left(self.seconds, second_min) :]:
                    yield time(hour, minute, second)


def earliest_local(moment: datetime, zone: ZoneInfo) -> datetime:
    """A local time, in whole seconds, before which nothing can fire after `moment`.

    In the first pass of an hour that the clock shows twice, the whole hour is still to come.
    """
    shown = moment.astimezone(zone)
    naive = shown.replace(tzinfo=None, microsecond=0, fold=0)
    first_offset, last_offset = (shown.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    if shown.fold == 0 and first_offset > last_offset:
        return naive - (first_offset - last_offset)
    return naive
