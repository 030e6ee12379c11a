"""Components that are Celery tasks: sent in chords, settled one by one, whatever becomes of the chord.

Each task tells its own end to a control worker (`link`, `link_error`), so no component waits for another. The chord's
body settles what is left when a whole chunk is over; the sweep asks the result backend for what neither has told.
Invariant: a task's id is the handle of one attempt, so what comes late or twice is told apart.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import uuid_utils
from celery import Signature, chord, current_app, group
from celery.backends.base import DisabledBackend
from django.core.checks import CheckMessage, Warning
from kombu.exceptions import OperationalError

from graphs.core.cancelling import Told
from graphs.core.tasks import task_call, task_faults
from graphs.providers.base import InFlight, Send
from graphs.providers.later import LaterProvider
from scheduler_project.toolkit.errors import Fault

log = logging.getLogger(__name__)

CHUNK = 100
EXAMINED_EVERY_S = 5.0
KILLED_AFTER_S = 5
SETTLING_QUEUE = "control"


class CeleryProvider(LaterProvider):
    """`task`, and optionally `args`, `kwargs`, `queue`, `time_limit_s`. Option `tasks`: patterns of names allowed."""

    supports_cancel = True

    def __init__(self, alias: str, tasks: Sequence[str] = ()) -> None:
        super().__init__(alias)
        self.tasks = tuple(tasks)
        self._examine_at: datetime | None = None

    def check(self) -> list[CheckMessage]:
        """`graphs.W001` where tasks are allowed and only their own word tells their end."""
        if not self.tasks or has_results():
            return []
        hint = "Set SCHEDULER_RESULT_BACKEND, so that the sweep can ask for what was not told."
        return [Warning("Celery tasks run without a result backend.", hint=hint, id="graphs.W001")]

    def faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        return task_faults(document, path, self.tasks)

    def handle(self, send: Send) -> str:
        return str(uuid_utils.uuid7())

    def send_after_commit(self, sends: Sequence[tuple[Send, str]], now: datetime) -> None:
        from graphs.store import mark_sent

        for first in range(0, len(sends), CHUNK):
            chunk = sends[first : first + CHUNK]
            try:
                _publish([(send.document, handle) for send, handle in chunk])
            except OperationalError as error:
                log.warning("celery.not_sent tasks=%d reason=%s", len(chunk), error)
                return
            mark_sent([send for send, _ in chunk], now)

    def cancel(self, unwanted: Sequence[InFlight], now: datetime, actor: str, told: Told) -> None:
        try:
            current_app.control.revoke([one.handle for one in unwanted], terminate=True)
        except OperationalError as error:
            log.warning("celery.not_revoked tasks=%d reason=%s", len(unwanted), error)

    def look_after(self, now: datetime) -> None:
        from graphs.store.delegated import examine

        if self.tasks and has_results() and (self._examine_at is None or now >= self._examine_at):
            self._examine_at = now + timedelta(seconds=EXAMINED_EVERY_S)
            examine(self.alias, now)


def has_results() -> bool:
    """Whether there is a result backend."""
    return not isinstance(current_app.backend, DisabledBackend)


def _publish(tasks: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    header = [_signature(document, handle) for document, handle in tasks]
    if not has_results():
        group(header).apply_async()
        return
    handles = [handle for _, handle in tasks]
    body = _ours("graphs.settle_celery", handles)
    chord(header, body.on_error(_ours("graphs.celery_chord_failed", handles))).apply_async()


def _signature(document: Mapping[str, Any], handle: str) -> Signature:
    call = task_call(document)
    limit_s = call.time_limit_s
    limits = {"soft_time_limit": limit_s, "time_limit": limit_s + KILLED_AFTER_S} if limit_s else {}
    return current_app.signature(
        call.task,
        args=list(call.args),
        kwargs=dict(call.kwargs),
        immutable=True,
        queue=call.queue,
        task_id=handle,
        ignore_result=False,
        link=[_ours("graphs.celery_done", handle)],
        link_error=[_ours("graphs.celery_failed")],
        **limits,
    )


def _ours(task: str, *args: Any) -> Signature:
    return current_app.signature(task, args=args, queue=SETTLING_QUEUE, ignore_result=True)
