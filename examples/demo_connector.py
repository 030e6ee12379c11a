"""A connector as one would write it for a real cloud: it carries out components of provider `demo` on NATS.

Run it with `python examples/demo_connector.py`. It takes `<component>.<verb>.demo`, waits a little, fills in what a
cloud would (ids, addresses), and sends the whole component back on `<subject>.done`, or on `<subject>.error` when it
says `"fail": true`. Any number of connectors share the work through one queue group.

Environment: `NATS_URI` (nats://127.0.0.1:4222), `DEMO_DELAY_S` (0.5), `DEMO_SUBJECT` (*.*.demo).
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

PREFIXES = {"vpc": "vpc", "network": "subnet", "firewall": "sg", "instance": "i", "elb": "elb", "volume": "vol"}


def carried_out(component: dict[str, Any]) -> dict[str, Any]:
    """The component as a cloud would give it back. The same component always gets the same ids."""
    kind, name = str(component.get("_component", "thing")), str(component.get("_component_id", ""))
    if component.get("fail") is True:
        return component | {"_state": "errored", "error": f"{name} was asked to fail"}
    if component.get("_action") == "delete":
        return component | {"_state": "completed"}
    number = hashlib.sha256(name.encode()).hexdigest()
    filled_in = {f"{kind}_aws_id": f"{PREFIXES.get(kind, kind)}-{number[:8]}"}
    if kind == "instance":
        filled_in["ip"] = f"10.0.{int(number[:2], 16)}.{int(number[2:4], 16)}"
    if kind == "elb":
        filled_in["dns_name"] = f"{component.get('name', 'elb')}-{number[:6]}.elb.demo.example"
    return component | filled_in | {"_state": "completed"}


class DemoConnector:
    """Answers until told to stop, over every outage of the server."""

    def __init__(self, uri: str, subject: str, delay_s: float) -> None:
        self.uri = uri
        self.subject = subject
        self.delay_s = delay_s
        self.client = Client()
        self.at_work: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Returns when the server is reached, however long that takes."""
        await self.client.connect(
            self.uri, name="demo-connector", max_reconnect_attempts=-1, reconnect_time_wait=1, error_cb=self.say
        )
        await self.client.subscribe(self.subject, queue="demo-connectors", cb=self.receive)
        await self.client.flush()
        print(f"listening on {self.subject}", flush=True)

    async def say(self, error: Exception) -> None:
        print(f"nats: {error!r}", file=sys.stderr, flush=True)

    async def receive(self, message: Msg) -> None:
        """Begins to carry out a component; others are taken meanwhile."""
        task = asyncio.create_task(self.carry_out(message))
        self.at_work.add(task)
        task.add_done_callback(self.at_work.discard)

    async def carry_out(self, message: Msg) -> None:
        try:
            component = json.loads(message.data)
        except ValueError:
            return
        if not isinstance(component, dict):
            return
        await asyncio.sleep(self.delay_s)
        result = carried_out(component)
        ending = "error" if result["_state"] == "errored" else "done"
        await self.client.publish(f"{message.subject}.{ending}", json.dumps(result).encode(), headers=message.headers)
        print(f"{message.subject} {component.get('_component_id')} {ending}", flush=True)

    async def stop(self) -> None:
        """Finishes what is at work, then leaves."""
        await asyncio.gather(*self.at_work, return_exceptions=True)
        if self.client.is_connected:
            await self.client.drain()


async def serve() -> None:
    """Runs a connector with the environment's settings until SIGTERM or Ctrl-C."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    connector = DemoConnector(
        uri=os.environ.get("NATS_URI") or "nats://127.0.0.1:4222",
        subject=os.environ.get("DEMO_SUBJECT", "*.*.demo"),
        delay_s=float(os.environ.get("DEMO_DELAY_S", "0.5")),
    )
    connecting = asyncio.create_task(connector.connect())
    await stopping.wait()
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    await connector.stop()


if __name__ == "__main__":
    asyncio.run(serve())
