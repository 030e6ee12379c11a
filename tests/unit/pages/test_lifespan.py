"""The web process starts and ends in order, and its open streams do not hold up its end."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scheduler_project import asgi
from scheduler_project.event_feed import feed_of_this_loop
from scheduler_project.lifespan import STOP_SIGNALS, with_lifespan


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def inner(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "answered", "scope": scope["type"]})


def live_through(while_alive: Callable[[], Any]) -> list[str]:
    """What a server hears of one life, in which `while_alive` is done before its end."""

    async def life() -> list[str]:
        heard: list[str] = []
        messages = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, Any]:
            message = next(messages)
            if message == "lifespan.shutdown":
                while_alive()
                await asyncio.sleep(0)
            return {"type": message}

        async def send(message: Any) -> None:
            heard.append(message["type"])

        await with_lifespan(inner)({"type": "lifespan"}, receive, send)
        return heard

    return asyncio.run(life())


def test_start_and_end_are_answered() -> None:
    assert live_through(lambda: None) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_ends_the_streams_and_still_reaches_the_server(number: signal.Signals) -> None:
    reached: list[int] = []
    closed: list[bool] = []
    signal.signal(number, lambda received, _: reached.append(received))

    def stop() -> None:
        signal.raise_signal(number)
        asyncio.get_running_loop().call_soon(lambda: closed.append(feed_of_this_loop().closed))

    live_through(stop)

    assert reached == [number]
    assert closed == [True]


def test_everything_else_is_passed_on() -> None:
    heard: list[Any] = []

    async def send(message: Any) -> None:
        heard.append(message)

    asyncio.run(with_lifespan(inner)({"type": "http"}, None, send))  # type: ignore[arg-type]

    assert heard == [{"type": "answered", "scope": "http"}]


def test_the_web_process_has_a_lifespan() -> None:
    assert asgi.application is not asgi.django_application
