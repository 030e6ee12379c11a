"""The clock: what beat sends, and the rule that of any number of beats one leads.

Invariant: a beat sends only while it holds the lease `clock`. Messages expire, so that none pile up while no control
worker runs. A lost database or broker stops the sending, never the beat.
"""

import logging
import os
import secrets
from datetime import datetime, timedelta
from typing import Any

import django.db
from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from django.utils import timezone
from kombu.exceptions import OperationalError

from scheduler_project.liveness import touch
from scheduler_project.toolkit import leases, retention

PERIODIC_TASKS_S = {
    "scheduler.pulse": 5.0,
    "scheduler.count": 5.0,
    "workers.sweep": 1.0,
    "graphs.sweep": 1.0,
    "clusters.sweep": 1.0,
    "topologies.fire_due": 1.0,
    "scheduler.forget": retention.EVERY_S,
}
LEASE = "clock"
LEASE_TTL_S = 4.0
ASK_EVERY_S = 1.0
LONGEST_SLEEP_S = 1.0
log = logging.getLogger(__name__)


def clock_settings(queue: str) -> dict[str, Any]:
    """Celery's settings for beat."""
    return {
        "beat_scheduler": "scheduler_project.clock:LeasedScheduler",
        "beat_max_loop_interval": LONGEST_SLEEP_S,
        "beat_schedule": {
            name: {"task": name, "schedule": every_s, "options": {"queue": queue, "expires": max(every_s, 5)}}
            for name, every_s in PERIODIC_TASKS_S.items()
        },
    }


class Leadership:
    """One process's hold on the lease. The database is asked once a second, in one statement while nothing changes.

    A leader that dies is followed within `LEASE_TTL_S` and `ASK_EVERY_S`; machines' clocks may differ by two seconds.
    Invariant: after `holds` answered true for the last time, no other holder's lease began earlier than that moment,
    unless somebody took the lease by force; then it is noticed at the next renewal.
    """

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self._held_until: datetime | None = None
        self._ask_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether this process leads at `now`. Raises Django's database errors only where it cannot know."""
        if self._ask_at is None or now >= self._ask_at:
            self._ask(now)
        return self._held_until is not None and now < self._held_until

    def _ask(self, now: datetime) -> None:
        self._ask_at = now + timedelta(seconds=ASK_EVERY_S)
        led = self._held_until is not None
        if led and leases.renew(LEASE, self.holder, now, LEASE_TTL_S):
            self._held_until = now + timedelta(seconds=LEASE_TTL_S)
            return
        free = led or not leases.is_held(LEASE, now)
        token = leases.acquire(LEASE, self.holder, now, LEASE_TTL_S) if free else None
        if token is None:
            self._held_until = None
            if led:
                log.warning("clock.lost holder=%s: another beat leads", self.holder)
            return
        self._held_until = now + timedelta(seconds=LEASE_TTL_S)
        if not led:
            log.info("clock.leads holder=%s token=%s", self.holder, token)

    def release(self, now: datetime) -> None:
        """Lets the next beat lead at once. Does nothing for one that does not lead."""
        if self._held_until is not None:
            leases.release(LEASE, self.holder, now)
        self._held_until = None


class LeasedScheduler(Scheduler):
    """Beat's scheduler: keeps its entries in memory, sends all that are due in each tick, and only where it leads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.leadership = Leadership(f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}")
        super().__init__(*args, **kwargs)

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Sends what is due. Returns the seconds until the next tick."""
        wait_s = LONGEST_SLEEP_S
        try:
            if self.leadership.holds(timezone.now()):
                wait_s = self.send_due()
            touch()
        except django.db.Error as error:
            log.warning("clock.waits for the database: %s", first_line(error))
            django.db.close_old_connections()
        except (SchedulingError, OperationalError, OSError) as error:
            log.warning("clock.waits for the broker: %s", first_line(error))
            self.drop_connection()
        return wait_s

    def send_due(self) -> float:
        """Sends every due entry. Returns the seconds until the next one is due."""
        wait_s = LONGEST_SLEEP_S
        for entry in list(self.schedule.values()):
            due, next_s = entry.is_due()
            if due:
                self.send(entry)
            wait_s = min(wait_s, next_s)
        return wait_s

    def send(self, entry: ScheduleEntry) -> None:
        """Sends one entry; it stays due where the broker refuses it."""
        self.apply_async(entry, producer=self.producer, advance=False)
        self.reserve(entry)

    def _ensure_connected(self) -> Any:
        """Tries once: waiting for the broker in here would outlast the lease."""
        return self.connection.ensure_connection(max_retries=1, interval_start=0)

    def drop_connection(self) -> None:
        """Forgets the broker's connection; the next send makes a new one."""
        self.__dict__.pop("producer", None)
        connection = self.__dict__.pop("connection", None)
        if connection is not None:
            connection.collect(socket_timeout=LONGEST_SLEEP_S)

    def close(self) -> None:
        """Ends in order: the lease is given up, so that another beat leads at once."""
        super().close()
        try:
            self.leadership.release(timezone.now())
        except django.db.Error as error:
            log.warning("clock.keeps the lease until it ends: %s", first_line(error))


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
