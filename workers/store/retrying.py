"""Has commands that ended badly tried again, and attempts stopped that were given up with their worker.

Invariant: an attempt that a retry follows is kept as a row of its own and never changes the command any more; one that
may still run is told to stop until its agent has answered.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from scheduler_project.toolkit.bulk import insert_rows, update_rows
from workers import dispatch
from workers.core.attention import AWAY_S, ORDER_LIFE_S
from workers.core.retries import Tried, retry_of
from workers.core.states import COMMAND
from workers.models import Command, CommandAttempt
from workers.protocol import Order, StopUnit
from workers.store.rows import BATCH_SIZE, claimed

KEPT = tuple(
    field.name for field in CommandAttempt._meta.fields if field.name not in ("id", "command", "worker", "stop_at")
)
FRESH = {
    "exit_code": None,
    "signal": None,
    "start_error": "",
    "start_error_kind": "",
    "timed_out": False,
    "stdout_bytes": 0,
    "stderr_bytes": 0,
    "cpu_user_s": None,
    "cpu_system_s": None,
    "max_rss_kb": None,
    "wall_s": None,
    "started_at": None,
    "ended_at": None,
    "accepted_at": None,
    "ack_by": None,
    "run_by": None,
}
GIVEN_UP = "it was given up and is tried again"
RETRIED = (*FRESH, "state", "reason", "ended_attempt", "retried", "not_before", "remind_at", "start_by")


def retry(command: Command, before: str, now: datetime, stop_at: datetime | None = None) -> CommandAttempt | None:
    """Makes a command pending again that has just been given its end, where a retry follows; the caller writes
    `RETRIED` and the attempt that is returned. `before` is the state that it had; `stop_at` is set for an attempt that
    may still run.
    """
    again = retry_of(_tried(command), now)
    if again is None:
        return None
    if before != "pending":
        COMMAND.check(before, "pending")
    kept = CommandAttempt(command_id=command.id, worker_id=command.worker_id, stop_at=stop_at)
    for name in KEPT:
        setattr(kept, name, getattr(command, name))
    for name, value in FRESH.items():
        setattr(command, name, value)
    command.state, command.reason = "pending", again.reason
    command.ended_attempt, command.retried = command.attempt, command.retried + 1
    command.not_before = command.remind_at = again.not_before
    command.start_by = again.not_before + timedelta(seconds=command.start_within_s)
    return kept


def keep(attempts: Sequence[CommandAttempt]) -> None:
    """Stores attempts that were followed by a retry."""
    insert_rows(attempts)


def stop_given_up(now: datetime) -> None:
    """Repeats the order to stop to agents that may still carry out an attempt that was given up; one batch of them."""
    due = CommandAttempt.objects.filter(stop_at__lte=now)
    if not due.exists():
        return
    with transaction.atomic():
        attempts = list(claimed(due.select_related("worker").order_by("stop_at", "id"))[:BATCH_SIZE])
        orders: dict[str, list[Order]] = {}
        for attempt in attempts:
            worker = attempt.worker
            attempt.stop_at = None
            if worker is not None and worker.state == "connected":
                unit = f"command/{attempt.command_id}"
                orders.setdefault(worker.name, []).append(StopUnit(unit=unit, attempt=attempt.attempt, reason=GIVEN_UP))
                attempt.stop_at = now + timedelta(seconds=ORDER_LIFE_S)
            elif worker is not None:
                attempt.stop_at = now + timedelta(seconds=AWAY_S)
        update_rows(attempts, ["stop_at"])
        dispatch.publish_after_commit(orders)


def known_gone(attempts: Iterable[tuple[str, int]]) -> None:
    """The agents say that nothing of these (command, attempt) runs any more."""
    these = Q()
    for command_id, attempt in attempts:
        these |= Q(command_id=command_id, attempt=attempt)
    if these:
        CommandAttempt.objects.filter(these, stop_at__isnull=False).update(stop_at=None)


def _tried(command: Command) -> Tried:
    return Tried(
        id=command.id,
        attempt=command.attempt,
        state=command.state,
        exit_code=command.exit_code,
        reason=command.reason,
        cancel_requested=command.cancel_requested,
        retries=command.retries,
        retried=command.retried,
        retry_delay_s=command.retry_delay_s,
    )
