"""What tests do at a NATS server beside the code under test."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import nats
from nats.aio.client import Client

Result = TypeVar("Result")


def remove_streams(url: str) -> None:
    """Removes all streams with their consumers and messages."""

    async def remove(client: Client) -> None:
        manager = client.jetstream()
        for stream in await manager.streams_info():
            await manager.delete_stream(stream.config.name or "")

    _at(url, remove)


def stream_messages(url: str, stream: str) -> int:
    """How many messages a stream holds."""

    async def count(client: Client) -> int:
        info = await client.jetstream().stream_info(stream)
        return int(info.state.messages)

    return _at(url, count)


def ask(url: str, requests: Sequence[tuple[str, Any]], timeout_s: float = 5) -> list[Any]:
    """The JSON answers to requests made one after the other; None for an empty body, text that is no JSON as it is."""

    async def request(client: Client) -> list[Any]:
        answers = []
        for subject, body in requests:
            answer = await client.request(subject, json.dumps(body).encode(), timeout=timeout_s)
            answers.append(_read(answer.data))
        return answers

    return _at(url, request)


def _read(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return data.decode()


def _at(url: str, work: Callable[[Client], Awaitable[Result]]) -> Result:
    """Works in a thread of its own, since the test's may have an event loop already, such as Playwright's."""

    async def connected() -> Result:
        client = await nats.connect(url)
        try:
            return await work(client)
        finally:
            await client.close()

    with ThreadPoolExecutor(1) as apart:
        return apart.submit(lambda: asyncio.run(connected())).result()
