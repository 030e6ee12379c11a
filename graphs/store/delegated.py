"""Settles components that are Celery tasks: by what the tasks tell, or by what the result backend knows of them."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from celery import current_app
from kombu.exceptions import OperationalError

from graphs.core.advance import Report
from graphs.core.replies import Reply
from graphs.core.tasks import TaskEnd, end_with_state, failure
from graphs.models import Component
from graphs.store.moving import settle_replies

log = logging.getLogger(__name__)

EXAMINED_AT_ONCE = 500
BACKEND_ERRORS = (OperationalError, OSError)


def settle_tasks(ends: Mapping[str, TaskEnd], now: datetime) -> None:
    """Settles what still runs under these handles."""
    rows = Component.objects.changes().filter(handle__in=list(ends), state="running")
    found = [(row, ends[row.handle]) for row in rows.only("graph_id", "component_id", "attempt", "handle")]
    settle_replies([_reply(row, end) for row, end in found], now)


def examine(backend: str, now: datetime) -> None:
    """Asks the result backend for what runs, the longest first: the end of a task may have been told to nobody."""
    rows = Component.objects.changes().filter(backend=backend, state="running", sent_at__isnull=False)
    handles = rows.exclude(handle="").order_by("started_at").values_list("handle", flat=True)[:EXAMINED_AT_ONCE]
    settle_tasks(known_ends(list(handles)), now)


def known_ends(handles: Iterable[str]) -> dict[str, TaskEnd]:
    """What the result backend knows to be over."""
    ends: dict[str, TaskEnd] = {}
    try:
        for handle in handles:
            meta = current_app.backend.get_task_meta(handle)
            end = end_with_state(meta["status"], meta.get("result"))
            if end is not None:
                ends[handle] = end
    except BACKEND_ERRORS as error:
        log.warning("celery.results_away reason=%s", error)
    return ends


def failure_of(handle: str) -> TaskEnd:
    """How a task failed that told no more than that it did."""
    known = known_ends([handle]).get(handle)
    return known if known and known.state == "errored" else TaskEnd("errored", failure(""))


def _reply(row: Component, end: TaskEnd) -> Reply:
    report = Report(row.component_id, end.state, end.reason, row.attempt)
    return Reply(row.graph_id, report, end.document)


def left_over(handles: Sequence[str]) -> list[str]:
    """Those of these handles that still run."""
    rows = Component.objects.changes().filter(handle__in=list(handles), state="running")
    return list(rows.values_list("handle", flat=True))
