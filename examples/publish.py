"""Starts a graph the way ernest's clients do: a plain NATS publish on `build.create`, then waits for the answer.

    python examples/publish.py examples/graph.json

The address comes from NATS_URI, or from the system that `manage.py up` runs in this folder.
"""

import asyncio
import json
import sys
from pathlib import Path

import nats
from nats.aio.msg import Msg

from scheduler_project.toolkit import env

SUBJECT = "build.create"
ANSWER_WITHIN_S = 120


async def publish(document: dict[str, object], uri: str) -> str:
    """Publishes the graph and returns the subject of its end."""
    client = await nats.connect(uri)
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_end(message: Msg) -> None:
        if json.loads(message.data).get("id") == document["id"] and not ended.done():
            ended.set_result(message.subject)

    await client.subscribe(f"{SUBJECT}.*", cb=on_end)
    await client.publish(SUBJECT, json.dumps(document).encode())
    try:
        return await asyncio.wait_for(ended, ANSWER_WITHIN_S)
    finally:
        await client.drain()


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/publish.py FILE")
    uri = env.effective().get("NATS_URI")
    if not uri:
        sys.exit("NATS_URI is not set, and no `manage.py up` runs in this folder")
    print(asyncio.run(publish(json.loads(Path(sys.argv[1]).read_text()), uri)))


if __name__ == "__main__":
    main()
