"""One bridge's time as the one that writes: compares everything once, then carries what changes, both ways.

Invariant: every write is guarded by the leader's key as this term made it, so a bridge that has been replaced without
knowing it changes nothing. What a tick costs is bounded by what has changed since the last.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic

from django.conf import settings

from scheduler_project.toolkit.errors import Unavailable
from scheduler_project.toolkit.events import GapWatch, settled_position, subjects_after
from workers import store
from workers.bridge import records
from workers.bridge.taking import answer_to
from workers.core.legacy import Names, left_alone
from workers.links.etcd import OPERATIONS_MAX, Change, Etcd, Guard, Put, Record, Refused

log = logging.getLogger(__name__)

EVENTS_MAX = 1000
COMMANDS_PER_READ = 100
BATCH_BYTES = 512 * 1024
WORKERS_EVERY_S = 5.0
OUTPUT_EVERY_S = 1.0
FORGET_EVERY_S = 5.0
SHORTEST_LEASE_S = 2
OWN_REVISIONS_MAX = 20_000


class LostLead(Exception):
    """Another bridge leads, or may by now."""


class Stopping(Exception):
    """The bridge was told to end."""


def lease_times_s() -> tuple[int, int]:
    """How long the leader's key, and the workers' keys, outlive a bridge: the next one leads before workers vanish."""
    living = max(SHORTEST_LEASE_S, round(settings.SCHEDULER_SILENCE_TIMEOUT_S))
    return max(SHORTEST_LEASE_S, living // 2), living


def take_lead(link: Etcd, names: Names, clock: Callable[[], datetime], holder: str) -> "Term | None":
    """A term, or None while another bridge leads."""
    leading_s, living_s = lease_times_s()
    if link.present([names.leader]):
        return None
    lease = link.grant(leading_s)
    revision = link.write([Put(names.leader, holder.encode(), lease)], [], [Guard(names.leader, 0)])
    if revision is None:
        return None
    return Term(link, names, clock, Guard(names.leader, revision), (lease, link.grant(living_s)), leading_s / 3)


class Term:
    """What one leader knows. `begin` once, then `step` again and again; any Unavailable or LostLead ends it."""

    def __init__(
        self,
        link: Etcd,
        names: Names,
        clock: Callable[[], datetime],
        lead: Guard,
        leases: tuple[int, int],
        beat_every_s: float,
    ) -> None:
        self._link, self._names, self._clock = link, names, clock
        self._lead, self._leases, self._beat_every_s = lead, leases, beat_every_s
        self._beat_at_s = monotonic() + beat_every_s
        self._watch = link.watch([names.tasks, names.workers, names.living])
        self._log = GapWatch(settled_position(clock()))
        self._own: dict[int, None] = {}
        self._workers: dict[str, bytes] = {}
        self._living: set[str] = set()
        self._workers_at_s = 0.0
        self._awaiting: set[str] = set()
        self._awaiting_at_s = 0.0
        self._forget_at_s = 0.0
        self.stopping = False

    def begin(self) -> None:
        """Makes all of etcd what the database says, and takes up what waits there."""
        self._adopt_workers()
        after = ""
        while page := self._link.read(self._names.tasks, after):
            self._settle({record.key: record for record in page})
            after = page[-1].key
            self._beat()
        after = ""
        while ids := records.ids_after(after, OPERATIONS_MAX):
            self._fill_up(ids)
            after = ids[-1]
            self._beat()

    def step(self, wait_s: float) -> None:
        """One tick: waits up to `wait_s` for news from etcd, then carries those of the database."""
        self._heed(self._watch.take(wait_s))
        self._follow()
        self._forget()
        self._beat()

    def resign(self) -> None:
        """Lets another bridge lead at once. The workers' keys stay for their time, for the next one to keep."""
        self._watch.close()
        with suppress(Unavailable):
            self._link.write([], [self._lead.key], [self._lead])

    def _heed(self, changes: Sequence[Change]) -> None:
        """Looks at what others did in etcd; what comes back of our own writes is known by its revision."""
        foreign = {change.key: change for change in changes if change.revision not in self._own}
        if any(not key.startswith(self._names.tasks) for key in foreign):
            self._adopt_workers()
        tasks = {key: change for key, change in foreign.items() if key.startswith(self._names.tasks)}
        keys = list(tasks)
        for start in range(0, len(keys), COMMANDS_PER_READ):
            part = {key: tasks[key] for key in keys[start : start + COMMANDS_PER_READ]}
            self._settle({key: _record_of(change) for key, change in part.items()})
            self._beat()

    def _follow(self) -> None:
        """Carries what the event log has told since the last tick, and outputs that came after their command's end."""
        found = subjects_after(self._log.position, EVENTS_MAX)
        count = self._log.passed([number for number, _ in found], monotonic())
        subjects = {subject for _, subject in found[:count]}
        changed = {subject.removeprefix("command:") for subject in subjects if subject.startswith("command:")}
        now_s = monotonic()
        if any(subject.startswith("worker:") for subject in subjects) or now_s >= self._workers_at_s:
            self._carry_workers()
        if self._awaiting and now_s >= self._awaiting_at_s:
            self._awaiting_at_s = now_s + OUTPUT_EVERY_S
            changed |= self._awaiting
        self._carry_commands(sorted(changed))

    def _forget(self) -> None:
        """Removes the records of commands that are forgotten, a bounded number of them now and then."""
        now_s = monotonic()
        if now_s < self._forget_at_s:
            return
        self._forget_at_s = now_s + FORGET_EVERY_S
        keys = records.forgotten(self._names, OPERATIONS_MAX, self._clock())
        if keys:
            self._write([], [key for key in keys.values() if key])
            store.records_are_gone(list(keys))

    def _carry_commands(self, command_ids: Sequence[str]) -> None:
        for start in range(0, len(command_ids), COMMANDS_PER_READ):
            part = command_ids[start : start + COMMANDS_PER_READ]
            found = records.of_commands(part, self._names, self._clock())
            self._write_tasks(found)
            self._beat()

    def _fill_up(self, command_ids: Sequence[str]) -> None:
        """Writes the records that etcd does not have."""
        keys = records.keys_of(command_ids, self._names)
        present = self._link.present(list(keys.values()))
        missing = [command_id for command_id, key in keys.items() if key not in present]
        if missing:
            self._write_tasks(records.of_commands(missing, self._names, self._clock()))

    def _settle(self, found: Mapping[str, Record | None]) -> None:
        """Compares records with the database: what we know is put right, what is new and pending is taken up."""
        known = records.under_keys(found, self._names, self._clock())
        wrong = []
        for key, record in found.items():
            expected = known.get(key)
            if expected is not None and (record is None or record.value != expected.value):
                wrong.append(expected)
            elif expected is None and record is not None:
                self._take_up(record)
        self._write_tasks(wrong)

    def _take_up(self, record: Record) -> None:
        """Answers a foreign record once: who changes it meanwhile is looked at again, by the watch."""
        value = answer_to(record, self._names, self._clock())
        if value is None:
            return
        try:
            unchanged = Guard(record.key, record.revision)
            self._remember(self._link.write([Put(record.key, value)], [], [self._lead, unchanged]))
        except Refused as error:
            _tell_refused(record.key, error)

    def _write_tasks(self, found: Sequence[records.TaskRecord]) -> None:
        for record in found:
            (self._awaiting.add if record.awaits_output else self._awaiting.discard)(record.command_id)
        self._write([Put(record.key, record.value) for record in found])

    def _adopt_workers(self) -> None:
        """Reads what etcd says of workers and puts it right, also of those that the database does not know."""
        expected = records.of_workers()
        self._workers = {}
        strangers = []
        for record in self._all(self._names.workers):
            worker_id = record.key.removeprefix(self._names.workers)
            if worker_id in expected:
                self._workers[worker_id] = record.value
            elif (value := left_alone(record.value)) is not None:
                strangers.append(Put(record.key, value))
        living = {record.key.removeprefix(self._names.living): record.lease for record in self._all(self._names.living)}
        self._living = {worker_id for worker_id, lease in living.items() if lease == self._leases[1]}
        gone = [worker_id for worker_id in living if not (worker_id in expected and expected[worker_id].connected)]
        self._living -= set(gone)
        self._write(strangers, [self._names.living + worker_id for worker_id in gone])
        self._carry_workers(expected)

    def _carry_workers(self, expected: dict[str, records.WorkerRecord] | None = None) -> None:
        """Writes what has changed of workers since they were last written."""
        self._workers_at_s = monotonic() + WORKERS_EVERY_S
        expected = records.of_workers() if expected is None else expected
        connected = {worker_id for worker_id, record in expected.items() if record.connected}
        values = {worker_id: record.value for worker_id, record in expected.items()}
        came = [Put(self._names.living + one, b"", self._leases[1]) for one in sorted(connected - self._living)]
        changed = [
            Put(self._names.workers + one, value) for one, value in values.items() if self._workers.get(one) != value
        ]
        removed = [self._names.workers + one for one in self._workers if one not in values]
        self._write(came + changed, [self._names.living + one for one in self._living - connected] + removed)
        self._workers, self._living = values, connected

    def _all(self, prefix: str) -> Iterable[Record]:
        after = ""
        while page := self._link.read(prefix, after):
            yield from page
            after = page[-1].key
            self._beat()

    def _write(self, puts: Sequence[Put], deletes: Sequence[str] = ()) -> None:
        for batch in _batches(puts):
            self._write_batch(batch)
        for start in range(0, len(deletes), OPERATIONS_MAX):
            self._write_as_leader([], deletes[start : start + OPERATIONS_MAX])

    def _write_batch(self, puts: Sequence[Put]) -> None:
        """A record that etcd will not have is told in the log, and does not keep the others back."""
        try:
            self._write_as_leader(puts, [])
        except Refused as error:
            if len(puts) == 1:
                _tell_refused(puts[0].key, error)
                return
            for put in puts:
                self._write_batch([put])

    def _write_as_leader(self, puts: Sequence[Put], deletes: Sequence[str]) -> None:
        revision = self._link.write(puts, deletes, [self._lead])
        if revision is None:
            raise LostLead("another bridge leads")
        self._remember(revision)
        self._beat()

    def _remember(self, revision: int | None) -> None:
        if revision is not None:
            self._own[revision] = None
        if len(self._own) > OWN_REVISIONS_MAX:
            del self._own[next(iter(self._own))]

    def _beat(self) -> None:
        """Keeps both leases where it is time to. Raises LostLead where one has ended."""
        if self.stopping:
            raise Stopping
        now_s = monotonic()
        if now_s < self._beat_at_s:
            return
        self._beat_at_s = now_s + self._beat_every_s
        kept = [self._link.keep_alive(lease) for lease in self._leases]
        if not all(kept):
            raise LostLead("a lease has ended")


def _tell_refused(key: str, error: Refused) -> None:
    log.error("etcd.record_refused key=%r reason=%s", key, error)


def _record_of(change: Change) -> Record | None:
    return None if change.value is None else Record(change.key, change.value, change.revision)


def _batches(puts: Sequence[Put]) -> Iterable[list[Put]]:
    """Parts that etcd takes in one transaction, by number and by size."""
    batch: list[Put] = []
    size = 0
    for put in puts:
        if batch and (len(batch) == OPERATIONS_MAX or size + len(put.value) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(put)
        size += len(put.value)
    if batch:
        yield batch
