"""Whether the system as a whole is ready for work: named checks, each of one part, with what is wrong where it is not.

Invariant: a check never raises and never blocks for longer than a few seconds; the list is complete, so that one look
tells every part that is missing.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import OperationalError

from graphs.bridge.presence import LEASES
from scheduler_project.celery import app
from scheduler_project.models import Lease
from scheduler_project.tasks import PULSE
from workers.bridge.loop import ETCD_REACHED
from workers.links.nats import CORE, JETSTREAM
from workers.models import Worker

BROKER_TIMEOUT_S = 2
UP_STATUS_OLD_AFTER_S = 15
NATS_MODES = {
    JETSTREAM: "bridged, with JetStream",
    CORE: "bridged, without JetStream: what is sent while no bridge listens is lost",
}


@dataclass(frozen=True)
class Check:
    """What one part answered. Without what is not `needed` the system is ready all the same."""

    name: str
    ok: bool
    detail: str = ""
    needed: bool = True


def check_database(now: datetime) -> Check:
    """The database answers and has all migrations."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return Check("database", False, f"cannot be used: {error}")
    if missing:
        return Check("database", False, f"{len(missing)} migrations are missing; run `manage.py migrate`")
    return Check("database", True, connection.vendor)


def check_broker(now: datetime) -> Check:
    """The broker takes a connection."""
    try:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_TIMEOUT_S)
            return Check("broker", True, broker.as_uri())
    except (OSError, OperationalError) as error:
        return Check("broker", False, f"cannot be reached: {error}")


def check_control(now: datetime) -> Check:
    """A message of the clock went through the broker to a control worker and into the database lately."""
    try:
        pulse = Lease.objects.filter(name=PULSE, expires_at__gt=now).exists()
    except DatabaseError as error:
        return Check("control", False, f"cannot be told: {error}")
    if not pulse:
        return Check("control", False, "no pulse: is the clock running, and a worker on the queue `control`?")
    return Check("control", True, "the clock's messages arrive")


def check_nats(now: datetime) -> Check:
    """Where there is a NATS server, a bridge reaches it."""
    if not settings.NATS_URI:
        return Check("nats", True, "not used")
    try:
        live = set(Lease.objects.filter(name__in=LEASES.values(), expires_at__gt=now).values_list("name", flat=True))
    except DatabaseError as error:
        return Check("nats", False, f"cannot be told: {error}")
    modes = sorted(mode for mode, name in LEASES.items() if name in live)
    if not modes:
        return Check("nats", False, "no bridge: is a worker on the queue `nats` running, and does it reach NATS?")
    return Check("nats", True, "; ".join(NATS_MODES[mode] for mode in modes))


def check_hosts(now: datetime) -> Check:
    """Every host that is expected is connected."""
    try:
        connected = set(Worker.objects.connected().values_list("name", flat=True))
    except DatabaseError as error:
        return Check("hosts", False, f"cannot be told: {error}")
    missing = sorted(set(settings.EXPECTED_HOSTS) - connected)
    if missing:
        return Check("hosts", False, f"not connected: {', '.join(missing)}")
    return Check("hosts", True, f"{len(connected)} connected")


def check_etcd(now: datetime) -> Check:
    """Where etcd is shared with outsiders: a bridge reached it lately. Nothing of ours waits for that."""
    if not settings.ETCD_ENDPOINTS:
        return Check("etcd", True, "not used", needed=False)
    try:
        reached = Lease.objects.filter(name=ETCD_REACHED, expires_at__gt=now).exists()
    except DatabaseError as error:
        return Check("etcd", False, f"cannot be told: {error}", needed=False)
    if not reached:
        detail = "no bridge has reached it lately: what outsiders see there is old, and is caught up when it is back"
        return Check("etcd", False, detail, needed=False)
    return Check("etcd", True, "a bridge keeps it up to date", needed=False)


def check_up(now: datetime) -> Check:
    """Where `manage.py up` runs the system: all its processes are up and it has said ready."""
    if not settings.UP_STATUS_FILE:
        return Check("up", True, "not run by `manage.py up`")
    try:
        status = json.loads(Path(settings.UP_STATUS_FILE).read_text())
    except (OSError, ValueError) as error:
        return Check("up", False, f"its status cannot be read: {error}")
    if now.timestamp() - status["at"] > UP_STATUS_OLD_AFTER_S:
        return Check("up", False, "it does not watch its processes any more")
    down = [name for name, process in status["processes"].items() if not process["up"]]
    if down:
        return Check("up", False, f"down: {', '.join(down)}")
    return Check("up", status["ready"], "" if status["ready"] else f"at: {status['stage']}")


CHECKS: tuple[Callable[[datetime], Check], ...] = (
    check_database,
    check_broker,
    check_control,
    check_nats,
    check_hosts,
    check_etcd,
    check_up,
)


def readiness(now: datetime) -> dict[str, Any]:
    """The answer of `/readyz`: `ready` and every check."""
    checks = [check(now) for check in CHECKS]
    return {"ready": all(check.ok for check in checks if check.needed), "checks": [asdict(check) for check in checks]}
