"""The agent's memory in SQLite: who it is, what it took, and what it has not yet been able to report.

Invariants: a message is taken once, and so is a (unit, attempt); a state and the reports that tell of it are written in
one transaction; a report stays in the spool until control has said that it is applied. Numbers of reports only grow,
also over restarts, so everything that is unreported belongs to the present session.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from workers.protocol import Order, Report

SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (
    unit TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    "order" BLOB NOT NULL,
    progress BLOB NOT NULL DEFAULT x'',
    report BLOB NOT NULL DEFAULT x'',
    stdout_sent INTEGER NOT NULL DEFAULT 0,
    stderr_sent INTEGER NOT NULL DEFAULT 0,
    stop_grace_s REAL,
    taken_at REAL NOT NULL,
    over_at REAL,
    PRIMARY KEY (unit, attempt)
);
CREATE INDEX IF NOT EXISTS units_unfinished ON units (kind, taken_at) WHERE over_at IS NULL;
CREATE INDEX IF NOT EXISTS units_over ON units (over_at) WHERE over_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS nonces (nonce TEXT PRIMARY KEY, expires_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spool (seq INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL);
"""
COLUMNS = 'unit, attempt, kind, state, "order", progress, report, stdout_sent, stderr_sent, stop_grace_s, over_at'


@dataclass(frozen=True)
class Entry:
    """One (unit, attempt). `report` is the last report on its state, `progress` the keeper's own record."""

    unit: str
    attempt: int
    kind: str
    state: str
    order: bytes
    progress: bytes
    report: bytes
    stdout_sent: int
    stderr_sent: int
    stop_grace_s: float | None
    over_at: float | None

    @property
    def is_over(self) -> bool:
        return self.over_at is not None


class _Transaction(AbstractContextManager[None]):
    """One for all uses: there are several for each command, and a generator for each would cost more than the work."""

    def __init__(self, enter: Callable[[], None], leave: Callable[[type[BaseException] | None], None]) -> None:
        self._enter, self._leave = enter, leave

    def __enter__(self) -> None:
        self._enter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._leave(kind)


class Journal:
    """One agent's journal. All methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._before: dict[Callable[[], None], None] = {}
        self._after: list[Callable[[], None]] = []
        self._spooled = False
        self._spool_bytes: int | None = None
        self.on_spooled: Callable[[], None] = lambda: None
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(SCHEMA)
        self._transaction = _Transaction(self._enter, self._leave)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; may be nested, the outermost one counts."""
        return self._transaction

    def before_commit(self, step: Callable[[], None]) -> None:
        """Calls `step` once, as the last of the open transaction, however often it was asked for there."""
        with self.transaction():
            self._before[step] = None

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Calls `effect` once the open transaction is committed; it is dropped with the transaction."""
        with self._lock:
            if self._depth > 0:
                self._after.append(effect)
                return
        effect()

    def _enter(self) -> None:
        self._lock.acquire()
        if self._depth == 0:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except BaseException:
                self._lock.release()
                raise
        self._depth += 1

    def _leave(self, failed: type[BaseException] | None) -> None:
        after: list[Callable[[], None]] = []
        spooled = False
        try:
            if self._depth == 1:
                self._end(failed)
                after, self._after = self._after, after
                spooled, self._spooled = self._spooled, spooled
        finally:
            self._depth -= 1
            self._lock.release()
        if spooled:
            self.on_spooled()
        for effect in after:
            effect()

    def _end(self, failed: type[BaseException] | None) -> None:
        try:
            if failed is None:
                while self._before:
                    self._before.popitem()[0]()
                self._connection.execute("COMMIT")
        except BaseException:
            self._undo()
            raise
        if failed is not None:
            self._undo()

    def _undo(self) -> None:
        self._before.clear()
        self._after.clear()
        self._spooled = False
        self._spool_bytes = None
        self._connection.execute("ROLLBACK")

    def remembered(self, key: str, default: str) -> str:
        """The value kept for `key`; the default is kept when there was none."""
        with self.transaction():
            self._connection.execute("INSERT OR IGNORE INTO identity VALUES (?, ?)", (key, default))
            return str(self._one("SELECT value FROM identity WHERE key = ?", key)[0])

    def remember(self, key: str, value: str) -> None:
        with self.transaction():
            self._connection.execute("INSERT OR REPLACE INTO identity VALUES (?, ?)", (key, value))

    def spend(self, nonce: str, expires_at: float) -> bool:
        """Notes that a message was taken. False when it was taken before."""
        with self.transaction():
            cursor = self._connection.execute("INSERT OR IGNORE INTO nonces VALUES (?, ?)", (nonce, expires_at))
            return cursor.rowcount == 1

    def forget_nonces(self, moment: float) -> None:
        """Drops those of messages that expired before."""
        with self.transaction():
            self._connection.execute("DELETE FROM nonces WHERE expires_at < ?", (moment,))

    def take(
        self, order: Order, unit: str, attempt: int, kind: str, state: str, now: float, report: Report | None = None
    ) -> bool:
        """Takes a unit's attempt, and spools the report that tells of it. False when it was taken before."""
        payload = b"" if report is None else msgspec.json.encode(report)
        with self.transaction():
            cursor = self._connection.execute(
                'INSERT OR IGNORE INTO units (unit, attempt, kind, state, "order", taken_at, report)'
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (unit, attempt, kind, state, msgspec.json.encode(order), now, payload),
            )
            taken = cursor.rowcount == 1
            if taken and payload:
                self.spool_encoded([payload])
            return taken

    def bury(self, order: Order, unit: str, attempt: int, kind: str, report: Report, now: float) -> None:
        """Makes an attempt that was never taken count as over; `report` is told to who orders it later."""
        with self.transaction():
            self.take(order, unit, attempt, kind, "refused", now)
            self._update(unit, attempt, "over_at = ?, report = ?", now, msgspec.json.encode(report))

    def latest(self, unit: str) -> Entry | None:
        """The newest attempt of a unit."""
        found = self._entries("WHERE unit = ? ORDER BY attempt DESC LIMIT 1", unit)
        return found[0] if found else None

    def find(self, unit: str, attempt: int) -> Entry | None:
        found = self._entries("WHERE unit = ? AND attempt = ?", unit, attempt)
        return found[0] if found else None

    def unfinished(self, kind: str) -> list[Entry]:
        """What was taken and is not over, oldest first."""
        return self._entries("WHERE kind = ? AND over_at IS NULL ORDER BY taken_at, rowid", kind)

    def over_before(self, moment: float, limit: int = 500) -> list[Entry]:
        return self._entries("WHERE over_at < ? ORDER BY over_at LIMIT ?", moment, limit)

    def set_state(self, unit: str, attempt: int, state: str, report: Report | None = None) -> None:
        """Writes a state and spools the report that tells of it."""
        if report is None:
            self._update(unit, attempt, "state = ?", state)
            return
        payload = msgspec.json.encode(report)
        with self.transaction():
            self._update(unit, attempt, "state = ?, report = ?", state, payload)
            self.spool_encoded([payload])

    def set_states(self, units: Sequence[tuple[str, int]], state: str) -> None:
        """Writes one state for many (unit, attempt), of which nothing is reported."""
        with self.transaction():
            self._connection.executemany(
                "UPDATE units SET state = ? WHERE unit = ? AND attempt = ?", [(state, *one) for one in units]
            )

    def set_progress(self, unit: str, attempt: int, progress: bytes) -> None:
        self._update(unit, attempt, "progress = ?", progress)

    def set_stop(self, unit: str, attempt: int, grace_s: float) -> None:
        """Remembers that a stop was ordered, so that a restarted agent carries it out."""
        self._update(unit, attempt, "stop_grace_s = ?", grace_s)

    def set_sent(self, unit: str, attempt: int, stdout_bytes: int, stderr_bytes: int) -> None:
        """Remembers how much of the output is in the spool or was reported."""
        self._update(unit, attempt, "stdout_sent = ?, stderr_sent = ?", stdout_bytes, stderr_bytes)

    def finish(self, unit: str, attempt: int, state: str, report: Report, now: float) -> None:
        """Writes a final state and spools the report that tells of it."""
        payload = msgspec.json.encode(report)
        with self.transaction():
            self._update(unit, attempt, "state = ?, over_at = ?, report = ?", state, now, payload)
            self.spool_encoded([payload])

    def delete(self, entries: Sequence[Entry]) -> None:
        with self.transaction():
            self._connection.executemany(
                "DELETE FROM units WHERE unit = ? AND attempt = ?", [(entry.unit, entry.attempt) for entry in entries]
            )

    def spool(self, reports: Sequence[Report]) -> None:
        self.spool_encoded([msgspec.json.encode(report) for report in reports])

    def spool_encoded(self, payloads: Sequence[bytes]) -> None:
        with self.transaction():
            self._spooled = True
            self._connection.executemany("INSERT INTO spool (payload) VALUES (?)", [(item,) for item in payloads])
            if self._spool_bytes is not None:
                self._spool_bytes += sum(map(len, payloads))

    def spool_bytes(self) -> int:
        """How much waits to be applied. Summed up anew only after some of it was."""
        with self._lock:
            if self._spool_bytes is None:
                (found,) = self._one("SELECT coalesce(sum(length(payload)), 0) FROM spool")
                self._spool_bytes = int(str(found))
            return self._spool_bytes

    def unreported(self, limit: int, limit_bytes: int) -> list[tuple[int, bytes]]:
        """The oldest reports of the spool, at least one where there is one, in order."""
        found: list[tuple[int, bytes]] = []
        size = 0
        with self._lock:
            for seq, payload in self._connection.execute(
                "SELECT seq, payload FROM spool ORDER BY seq LIMIT ?", (limit,)
            ):
                size += len(payload)
                if found and size > limit_bytes:
                    break
                found.append((seq, payload))
        return found

    def oldest_seq(self) -> int:
        """The number of the oldest unreported report; 0 when all are applied."""
        (oldest,) = self._one("SELECT coalesce(min(seq), 0) FROM spool")
        return int(str(oldest))

    def newest_seq(self) -> int:
        """The number of the newest unreported report; 0 when all are applied."""
        (newest,) = self._one("SELECT coalesce(max(seq), 0) FROM spool")
        return int(str(newest))

    def applied(self, seq: int) -> None:
        """Drops the reports up to `seq`."""
        with self.transaction():
            self._connection.execute("DELETE FROM spool WHERE seq <= ?", (seq,))
            self._spool_bytes = None

    def _update(self, unit: str, attempt: int, assignments: str, *values: object) -> None:
        with self.transaction():
            self._connection.execute(
                f"UPDATE units SET {assignments} WHERE unit = ? AND attempt = ?",  # noqa: S608
                (*values, unit, attempt),
            )

    def _entries(self, where: str, *values: object) -> list[Entry]:
        with self._lock:
            rows = self._connection.execute(f"SELECT {COLUMNS} FROM units {where}", values)  # noqa: S608
            return [Entry(*row) for row in rows]

    def _one(self, query: str, *values: object) -> tuple[object, ...]:
        with self._lock:
            row: tuple[object, ...] = self._connection.execute(query, values).fetchone()
            return row
