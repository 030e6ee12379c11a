"""Makes the calls of HTTP components, in Celery workers of the queue `http`.

Invariant: a call is made once per attempt, and what came of it is told as long as there is a database to tell it to.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from graphs.core.calls import Answer, Call, Outcome, call_of, outcome_of, with_secrets
from graphs.models import Component
from graphs.providers import provider
from graphs.providers.http import HttpProvider
from graphs.store import LostRace
from graphs.store.calling import call_row, callback_token, settle_call, take_call
from scheduler_project.toolkit.errors import Unavailable
from workers.links.http import Request, fetch

log = logging.getLogger(__name__)

SECRET_PREFIX = "SCHEDULER_SECRET_"  # noqa: S105
CALLBACK_HEADER = "Scheduler-Callback"
TELL_TRIES = 60
TELL_WAIT_S = 1.0


def make_call(pk: int, attempt: int, clock: Callable[[], datetime]) -> None:
    """Makes the call of an attempt, unless somebody else has, and settles it."""
    row = call_row(pk, attempt)
    if row is None:
        return
    backend = provider(row.backend)
    if not isinstance(backend, HttpProvider):
        return
    call = call_of(row.document)
    if take_call(pk, attempt, call.timeout_s, clock()):
        _tell(row, _outcome(call, row, backend), clock)


def _outcome(call: Call, row: Component, backend: HttpProvider) -> Outcome:
    try:
        headers = with_secrets(call.headers, _secrets())
    except KeyError as error:
        return Outcome("errored", f"{SECRET_PREFIX}{error.args[0]} is not set where the call is made")
    try:
        response = fetch(_request(call, row, headers), backend.body_max_bytes)
    except Unavailable as error:
        return Outcome("errored", str(error))
    return outcome_of(call, Answer(response.status, response.body, not response.whole))


def _request(call: Call, row: Component, headers: Mapping[str, str]) -> Request:
    body = call.body if isinstance(call.body, str) else json.dumps(call.body) if call.body is not None else ""
    own = {
        "User-Agent": "scheduler",
        "Scheduler-Graph": _ascii(row.graph_id),
        "Scheduler-Component": _ascii(row.component_id),
        "Scheduler-Attempt": str(row.attempt),
    }
    if body and not isinstance(call.body, str):
        own["Content-Type"] = "application/json"
    if call.callback:
        own[CALLBACK_HEADER] = f"{settings.PUBLIC_URL}/api/v1/graphs/callbacks/{callback_token(row.pk, row.attempt)}"
    given = {name.lower() for name in headers}
    kept = {name: value for name, value in own.items() if name.lower() not in given}
    return Request(call.method, call.url, {**kept, **headers}, body.encode(), call.timeout_s, call.verify)


def _ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


def _secrets() -> dict[str, str]:
    found = {name.removeprefix(SECRET_PREFIX): value for name, value in os.environ.items()}
    return {name: value for name, value in found.items() if f"{SECRET_PREFIX}{name}" in os.environ}


def _tell(row: Component, outcome: Outcome, clock: Callable[[], datetime]) -> None:
    """Settles the attempt, and waits for the database where it is away: the call cannot be made again."""
    for left in reversed(range(TELL_TRIES)):
        try:
            settle_call(row, outcome, clock())
        except (OperationalError, InterfaceError, LostRace) as error:
            log.warning("call.not_told component=%s attempt=%d reason=%s", row.component_id, row.attempt, error)
            connection.close()
            if not left:
                raise
            time.sleep(TELL_WAIT_S)
        else:
            return
