"""The store of ernest's own programs, answered from our database: every request gets one answer.

Invariant: a setter that was answered with an empty body is committed; what failed says so under `_error`.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone

from graphs.bridge import server
from graphs.bridge.thread import LinkThread
from graphs.core.environments import Refused
from graphs.core.mappings import NoSuchChange
from graphs.core.values import parse_json, value_faults
from graphs.core.words import START_SUBJECTS
from graphs.store import builds
from scheduler_project.toolkit.errors import NotFound, SchedulerError, Unavailable
from workers.links.backlog import Message
from workers.links.nats import Link

log = logging.getLogger(__name__)

GROUP = "scheduler-store"
BATCH = 100
ENDS = tuple(f"{subject}.{end}" for subject in START_SUBJECTS for end in ("done", "error"))
Document = Mapping[str, Any]
Handler = Callable[[Document, datetime], Any]


def _silent(work: Callable[[], None]) -> bytes:
    work()
    return b""


def _set_mapping(request: Document, now: datetime) -> bytes:
    mapping = request.get("mapping")
    if not isinstance(mapping, Mapping):
        raise NotFound("mapping must be an object")
    return _silent(lambda: builds.set_mapping(_id(request), mapping, now))


def _del_build(request: Document, now: datetime) -> Any:
    builds.delete_build(_id(request))
    return {"status": "success"}


def _set_status(request: Document, now: datetime) -> Any:
    try:
        builds.set_status(request, str(request.get("status") or ""), now)
    except NotFound as error:
        return {"error": str(error)}
    return {"status": "ok"}


def _set_definition(request: Document, now: datetime) -> bytes:
    value = str(request.get("definition") or "")
    return _silent(lambda: builds.set_field(_id(request), "definition", value, now))


def _set_validation(request: Document, now: datetime) -> bytes:
    return _silent(lambda: builds.set_field(_id(request), "validation", request.get("validation"), now))


def _edit(name: str) -> Handler:
    return lambda request, now: _silent(lambda: builds.edit_mapping(name, request, now))


def _id(request: Document) -> str:
    return str(request.get("id") or "")


HANDLERS: Mapping[str, Handler] = {
    "build.get": lambda request, now: builds.get_build(request),
    "build.find": lambda request, now: builds.find_builds(request),
    "build.set": builds.set_build,
    "build.del": _del_build,
    "build.set.status": _set_status,
    "build.get.mapping": lambda request, now: builds.get_mapping(_id(request)),
    "build.set.mapping": _set_mapping,
    "build.set.mapping.component": _edit("set.component"),
    "build.del.mapping.component": _edit("del.component"),
    "build.set.mapping.change": _edit("set.change"),
    "build.get.definition": lambda request, now: str(builds.get_field(_id(request), "definition") or "").encode(),
    "build.set.definition": _set_definition,
    "build.get.validation": lambda request, now: builds.get_field(_id(request), "validation") or {},
    "build.set.validation": _set_validation,
}


def answer(message: Message, now: datetime) -> bytes:
    """The body of the answer to a request."""
    try:
        request = parse_json(message.data)
        if not isinstance(request, dict):
            raise NotFound("the request must be a JSON object")
        faults = value_faults(request, "")
        if faults:
            raise NotFound(str(faults[0]))
        result = HANDLERS[message.subject](request, now)
    except (SchedulerError, Refused, NoSuchChange) as error:
        return _body({"_error": str(error)})
    except DatabaseError as error:
        log.warning("store.failed subject=%s reason=%s", message.subject, error)
        connection.close()
        return _body({"_error": "the database cannot be used now"})
    return result if isinstance(result, bytes) else _body(result)


def _body(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def make_store_service(on_failure: Callable[[], None] = lambda: None) -> "StoreService":
    """The service on the server of `NATS_URI`; `on_failure` is called when it cannot go on."""
    return StoreService(server.link((*HANDLERS, *ENDS), GROUP, "scheduler-store"), on_failure=on_failure)


class StoreService(LinkThread):
    """One thread that answers; any number of them share the requests."""

    name = "graphs-store"
    batch = BATCH

    def __init__(
        self, link: Link, clock: Callable[[], datetime] = timezone.now, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(link, on_failure)
        self._clock = clock

    def handle(self, messages: Sequence[Message]) -> None:
        """Answers requests, and notes the ends of builds."""
        answers = [found for message in messages if (found := self._answered(message)) is not None]
        try:
            self._link.publish(answers)
        except Unavailable as error:
            log.warning("store.not_answered messages=%d reason=%s", len(answers), error)

    def _answered(self, message: Message) -> Message | None:
        if message.subject in ENDS:
            self._note_end(message)
            return None
        data = answer(message, self._clock())
        if len(data) > self._link.max_payload:
            data = _body({"_error": f"the answer has {len(data)} bytes, more than the server takes in a message"})
        return Message(message.reply, data) if message.reply else None

    def _note_end(self, message: Message) -> None:
        try:
            body = parse_json(message.data)
            if isinstance(body, dict) and isinstance(body.get("id"), str):
                builds.end_build(message.subject, body["id"], self._clock())
        except (SchedulerError, DatabaseError) as error:
            log.warning("store.end_not_noted subject=%s reason=%s", message.subject, error)
