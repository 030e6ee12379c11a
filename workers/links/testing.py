"""etcd in memory, for tests without a server: the twin of `workers.links.etcd.EtcdLink` under the same tests.

Any number of links share one `MemoryEtcd`. Leases end by the clock that it is given.
"""

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scheduler_project.toolkit.errors import Unavailable
from workers.links.etcd import OPERATIONS_MAX, Change, Guard, Put, Record


@dataclass
class _Lease:
    ttl_s: int
    ends_at_s: float


@dataclass
class MemoryEtcd:
    """What a cluster holds. `reachable` False is an outage; setting it breaks the watches at their next use."""

    clock: Callable[[], float] = time.monotonic
    reachable: bool = True
    writes: int = 0
    revision: int = 1
    records: dict[str, Record] = field(default_factory=dict)
    leases: dict[int, _Lease] = field(default_factory=dict)
    watches: list["MemoryWatch"] = field(default_factory=list)

    def now(self) -> None:
        """Ends the leases whose time is over. Raises Unavailable in an outage."""
        if not self.reachable:
            raise Unavailable("etcd does not answer (an outage in memory)")
        over = [lease for lease, one in self.leases.items() if one.ends_at_s <= self.clock()]
        for lease in over:
            del self.leases[lease]
            self.apply([], [key for key, record in self.records.items() if record.lease == lease])

    def apply(self, puts: Sequence[Put], deletes: Sequence[str]) -> int:
        """One transaction; an outsider's write in tests."""
        self.writes += len(puts)
        self.revision += 1
        changes = []
        for put in puts:
            self.records[put.key] = Record(put.key, put.value, self.revision, put.lease)
            changes.append(Change(put.key, put.value, self.revision))
        for key in deletes:
            if self.records.pop(key, None) is not None:
                changes.append(Change(key, None, self.revision))
        for watch in self.watches:
            watch.tell(changes)
        return self.revision

    def wipe(self) -> None:
        """The cluster is set up anew: nothing of before is known."""
        self.records.clear()
        self.leases.clear()
        self.revision = 1
        self.break_watches()

    def break_watches(self) -> None:
        """As a member that goes away does."""
        while self.watches:
            self.watches.pop().close()


class MemoryLink:
    """A link to a `MemoryEtcd`."""

    def __init__(self, server: MemoryEtcd) -> None:
        self._server = server
        self._watches: list[MemoryWatch] = []

    def read(self, prefix: str, after: str = "", limit: int = OPERATIONS_MAX) -> list[Record]:
        self._server.now()
        keys = sorted(key for key in self._server.records if key.startswith(prefix) and key > after)
        return [self._server.records[key] for key in keys[:limit]]

    def present(self, keys: Sequence[str]) -> set[str]:
        self._server.now()
        return {key for key in keys if key in self._server.records}

    def write(self, puts: Sequence[Put], deletes: Sequence[str], guards: Sequence[Guard]) -> int | None:
        self._server.now()
        records = self._server.records
        for guard in guards:
            if (records[guard.key].revision if guard.key in records else 0) != guard.revision:
                return None
        return self._server.apply(puts, deletes)

    def grant(self, ttl_s: int) -> int:
        self._server.now()
        lease = max(self._server.leases, default=0) + 1
        self._server.leases[lease] = _Lease(ttl_s, self._server.clock() + ttl_s)
        return lease

    def keep_alive(self, lease: int) -> bool:
        self._server.now()
        known = self._server.leases.get(lease)
        if known is not None:
            known.ends_at_s = self._server.clock() + known.ttl_s
        return known is not None

    def watch(self, prefixes: Sequence[str]) -> "MemoryWatch":
        self._server.now()
        watch = MemoryWatch(self._server, tuple(prefixes))
        self._server.watches.append(watch)
        self._watches.append(watch)
        return watch

    def close(self) -> None:
        while self._watches:
            self._watches.pop().close()


class MemoryWatch:
    """A watch on a `MemoryEtcd`."""

    def __init__(self, server: MemoryEtcd, prefixes: tuple[str, ...]) -> None:
        self._server = server
        self._prefixes = prefixes
        self._found: queue.Queue[Change | None] = queue.Queue()
        self._ended = False

    def tell(self, changes: Sequence[Change]) -> None:
        """Keeps those that it watches."""
        for change in changes:
            if change.key.startswith(self._prefixes):
                self._found.put(change)

    def take(self, timeout_s: float) -> list[Change]:
        self._server.now()
        found: list[Change] = []
        try:
            change = self._found.get(timeout=timeout_s)
            while change is not None:
                found.append(change)
                change = self._found.get_nowait()
        except queue.Empty:
            if found or not self._ended:
                return found
        raise Unavailable("the watch on etcd has ended")

    def close(self) -> None:
        self._ended = True
        self._found.put(None)
