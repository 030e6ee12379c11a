"""Agents that come, go and come back for ever: what they leave behind, and what removing one keeps."""

import gc
import resource
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, Worker
from workers.protocol import Heartbeat
from workers.testing import FakeAgents

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RECONNECTS = 2000
GROWTH_MAX_KIB = 20 * 1024
GROWTH_MAX_HELD = 3  # a database may open a file of its own meanwhile; a leak would be of hundreds


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def beat(session: int) -> Heartbeat:
    return Heartbeat(
        host="host-a",
        worker_id="id-a",
        session=f"session-{session}",
        started_at=NOW.timestamp() + session,
        sent_at=0,
        version="1",
        address="here",
        slots=4,
    )


def held() -> tuple[int, int]:
    """Threads and open files of this process."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_two_thousand_reconnects_leave_one_worker_and_nothing_else(agents: FakeAgents) -> None:
    for session in range(100):
        store.apply_heartbeats([beat(session)], after(session))
    agents.published.clear()
    gc.collect()
    before, before_kib = held(), peak_kib()

    for session in range(100, RECONNECTS):
        store.apply_heartbeats([beat(session)], after(session))
        agents.published.clear()

    gc.collect()
    assert Worker.objects.count() == 1
    assert Worker.objects.get().session == f"session-{RECONNECTS - 1}"
    grown = [after_all - at_first for after_all, at_first in zip(held(), before, strict=True)]
    assert max(grown) <= GROWTH_MAX_HELD, f"threads and files grew by {grown} in {RECONNECTS} reconnects"
    assert peak_kib() - before_kib < GROWTH_MAX_KIB


def test_the_history_of_a_removed_worker_is_kept(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    (command,) = store.submit([NewCommand(argv=["true"])], NOW)
    agents.settle(NOW)
    agents.stop("host-a", after(1))

    store.remove("host-a", after(2), "ann")

    kept = Command.objects.get(id=command.id)
    assert not Worker.objects.exists()
    assert (kept.state, kept.exit_code) == ("done", 0)


def test_a_removed_worker_that_comes_back_is_registered_anew(agents: FakeAgents) -> None:
    agents.connect("host-a", now=NOW)
    agents.stop("host-a", after(1))
    store.remove("host-a", after(2), "ann")

    agents.connect("host-a", now=after(3))

    assert (Worker.objects.get().state, Worker.objects.get().registered_at) == ("connected", after(3))
