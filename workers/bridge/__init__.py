"""The etcd bridge as a part of the Celery worker that consumes the queue `etcd`.

Invariant: importing this module loads neither Django's models nor settings, so `scheduler_project.celery` may import it
before Django is set up.
"""

import logging
from typing import TYPE_CHECKING, Any

from celery import bootsteps

from scheduler_project.toolkit.errors import ConfigurationError
from scheduler_project.toolkit.worker import EXIT_FAILED, end_worker

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
            raise SystemExit(EXIT_FAILED) from None
        self.bridge.start()

    def stop(self, worker: Any) -> None:
        if self.bridge is not None:
            self.bridge.stop()
            self.bridge = None

    terminate = stop
