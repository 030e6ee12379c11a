"""The stream of events, `/api/v1/events`: server-sent events from a given place in the log on, and then as they come.

Invariant: a client that comes back with the last id it saw misses no event and gets none twice.
"""

import logging
import time
from collections.abc import AsyncIterator, Iterable

from asgiref.sync import sync_to_async
from django.db import DatabaseError
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router

from scheduler_project.event_feed import EventFeed, Item, feed_of_this_loop
from scheduler_project.toolkit.access import Role, require
from scheduler_project.toolkit.errors import Fault, InvalidDocument, Unauthenticated
from scheduler_project.toolkit.http import authenticate

logger = logging.getLogger(__name__)
router = Router(tags=["events"])

HEARTBEAT_S = 15.0
STREAM_LASTS_S = 900.0
HELLO = b"retry: 1000\n\n"
HEARTBEAT = b": alive\n\n"


@router.get("/events", auth=None, summary="Follow the event log (server-sent events)")
async def events(request: HttpRequest, after: int | None = None, subject: str = "") -> StreamingHttpResponse:
    """Events after the id `after` (or the header `Last-Event-ID`; without both, from now on), oldest first.

    `subject` keeps those whose subject starts with it, such as `graph:b1` or `worker:`. A stream ends after 15 minutes,
    or when its client is too slow; come back with the last id seen, as browsers do by themselves.
    """
    await sync_to_async(require_viewer)(request)
    position = last_event_id(request.headers.get("Last-Event-ID", ""), after)
    response = StreamingHttpResponse(
        stream(feed_of_this_loop(), position, subject), content_type="text/event-stream; charset=utf-8"
    )
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def require_viewer(request: HttpRequest) -> None:
    """Raises Unauthenticated or Denied unless a viewer asks, by session or bearer token."""
    if authenticate(request) is None:
        raise Unauthenticated
    require(request, Role.VIEWER)


def last_event_id(header: str, after: int | None) -> int | None:
    """Where to go on: what the client saw last wins over where it once began. Raises InvalidDocument."""
    if not header:
        return after
    if not header.isdecimal():
        raise InvalidDocument([Fault("Last-Event-ID", "use the id of an event, a whole number")])
    return int(header)


async def stream(
    feed: EventFeed,
    position: int | None,
    subject: str,
    heartbeat_s: float = HEARTBEAT_S,
    lasts_s: float = STREAM_LASTS_S,
) -> AsyncIterator[bytes]:
    """The bytes of one client's stream: what the log holds after `position`, then what comes."""
    ends_at_s = time.monotonic() + lasts_s
    yield HELLO
    try:
        async with feed.following():
            position = feed.position if position is None else position
            while position < feed.position and not feed.closed:
                found, position = await feed.read(position, subject)
                if found:
                    yield encoded(found)
            async for part in live(feed, position, subject, heartbeat_s, ends_at_s):
                yield part
    except DatabaseError as error:
        logger.warning("events.stream_ended error=%s", error)


async def live(
    feed: EventFeed, position: int, subject: str, heartbeat_s: float, ends_at_s: float
) -> AsyncIterator[bytes]:
    """Events after `position` as the feed hands them out, with heartbeats, until the listener or its time ends."""
    with feed.listening(subject) as listener:
        while not (listener.ended or feed.closed) and time.monotonic() < ends_at_s:
            found = await listener.items(heartbeat_s)
            unseen = [item for item in found if item.id > position]
            if unseen:
                yield encoded(unseen)
            elif not found and not listener.ended:
                yield HEARTBEAT


def encoded(items: Iterable[Item]) -> bytes:
    """Items in the format of server-sent events."""
    return "".join(f"id: {item.id}\ndata: {item.body}\n\n" for item in items).encode()
