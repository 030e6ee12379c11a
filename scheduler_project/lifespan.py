"""The start and end of the web process: open event streams end at once when the server is asked to stop.

A server waits for open responses before it tells the application of its end, and a stream has no end of its own; so the
streams are ended by the same signals that stop the server.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType
from typing import Any

from scheduler_project.event_feed import feed_of_this_loop

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def with_lifespan(application: Application) -> Application:
    """Answers ASGI's lifespan scope, which Django does not, and passes all else on."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
        else:
            await application(scope, receive, send)

    return answer


async def live(receive: Receive, send: Send) -> None:
    """One life of the process."""
    await receive()
    if threading.current_thread() is threading.main_thread():
        end_streams_on_signals(asyncio.get_running_loop())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    feed_of_this_loop().close()
    await send({"type": "lifespan.shutdown.complete"})


def end_streams_on_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Ends the streams first on each stop signal, then does what the server does on it."""
    feed = feed_of_this_loop()
    for number in STOP_SIGNALS:
        server_handler = signal.getsignal(number)

        def on_signal(received: int, frame: FrameType | None, handler: Any = server_handler) -> None:
            loop.call_soon_threadsafe(feed.close)
            if callable(handler):
                handler(received, frame)

        signal.signal(number, on_signal)
