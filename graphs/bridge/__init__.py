"""The NATS bridge as a part of the Celery worker that consumes the queue `nats`.

Invariant: importing this module loads neither Django's models nor the NATS client, so `scheduler_project.celery` may
import it before Django is set up.
"""

from typing import TYPE_CHECKING, Any

from celery import bootsteps

from scheduler_project.toolkit.worker import end_worker

if TYPE_CHECKING:
    from graphs.bridge.loop import Bridge
    from graphs.bridge.mirroring import Mirror
    from graphs.bridge.serving import StoreService

_running: list["Bridge"] = []
_services: list["StoreService | Mirror"] = []


class BridgeStep(bootsteps.StartStopStep):
    """Starts the bridge with the worker and stops it in order. The worker does not start without `NATS_URI`."""

    requires = {"celery.worker.components:Pool"}

    def start(self, worker: Any) -> None:
        from graphs.bridge.loop import make_bridge, services

        bridge = make_bridge(on_failure=end_worker)
        bridge.start()
        _running.append(bridge)
        for service in services(on_failure=end_worker):
            service.start()
            _services.append(service)

    def stop(self, worker: Any) -> None:
        while _services:
            _services.pop().stop()
        while _running:
            _running.pop().stop()

    terminate = stop


def wake() -> None:
    """Lets this process's bridge look for what is to be sent; without one, nothing happens."""
    for bridge in _running:
        bridge.wake()
