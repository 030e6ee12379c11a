"""The etcd bridge as a part of the Celery worker that consumes the queue `etcd`.

Invariant: importing this module loads neither Django's models nor settings, so `scheduler_project.celery` may import it
before Django is set up.
"""

import logging
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.worker import state

from scheduler_project.toolkit.errors import ConfigurationError

if TYPE_CHECKING:
    from workers.bridge.loop import Bridge


log = logging.getLogger(__name__)


class EtcdStep(bootsteps.StartStopStep):
    """Starts the bridge with the worker and stops it in order. The worker does not start without `ETCD_ENDPOINTS`."""

    requires = {"celery.worker.components:Pool"}

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.bridge: Bridge | None = None

    def start(self, worker: Any) -> None:
        from workers.bridge.loop import make_bridge

        try:
            self.bridge = make_bridge(on_failure=end_worker)
        except ConfigurationError as error:
            log.critical("etcd.not_started reason=%s", error)
            raise SystemExit(1) from None
        self.bridge.start()

    def stop(self, worker: Any) -> None:
        if self.bridge is not None:
            self.bridge.stop()
            self.bridge = None

    terminate = stop


def end_worker() -> None:
    """Ends this worker with exit code 1, so that whoever supervises it starts it afresh."""
    state.should_stop = 1
