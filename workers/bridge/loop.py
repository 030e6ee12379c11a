"""The etcd bridge: a thread that leads, or stands by until the bridge that leads is gone.

Invariant: nothing waits for it. While etcd or the database is away it tries again, and after every interruption it
compares everything, so what happened meanwhile needs no memory of its own.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from scheduler_project.toolkit import leases
from scheduler_project.toolkit.errors import ConfigurationError, Unavailable
from workers.bridge.term import LostLead, Stopping, Term, take_lead
from workers.core.legacy import Names
from workers.links.etcd import Etcd, EtcdAddress, EtcdLink, Refused

log = logging.getLogger(__name__)

TICK_S = 0.5
RETRY_S = 1.0
STOP_S = 15.0
ETCD_REACHED = "etcd reached"
REACHED_LASTS_S = 15.0


def make_bridge(on_failure: Callable[[], None] = lambda: None) -> "Bridge":
    """The bridge to the etcd of the settings; `on_failure` is called when it cannot go on.

    Raises ConfigurationError where `ETCD_ENDPOINTS` is not set or cannot be used.
    """
    if not settings.ETCD_ENDPOINTS:
        raise ConfigurationError(
            "ETCD_ENDPOINTS is not set, so there is nothing to bridge; set it, or stop this worker"
        )
    return Bridge(EtcdLink(address()), Names(settings.ETCD_PREFIX), on_failure=on_failure)


def address() -> EtcdAddress:
    """Where etcd is, as the environment says."""
    return EtcdAddress(
        endpoints=tuple(settings.ETCD_ENDPOINTS),
        ca_cert=settings.ETCD_CACERT,
        cert=settings.ETCD_CERT,
        key=settings.ETCD_KEY,
        user=settings.ETCD_USER,
        password=settings.ETCD_PASSWORD,
    )


class Bridge:
    """Keeps etcd's records and takes up what outsiders put there. `step` may be called in the place of `start`."""

    def __init__(
        self,
        link: Etcd,
        names: Names,
        clock: Callable[[], datetime] = timezone.now,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._link, self._names, self._clock, self._on_failure = link, names, clock, on_failure
        self._holder = f"{socket.gethostname()}/{os.getpid()}"
        self._term: Term | None = None
        self._trouble = ""
        self._show_at = datetime.min.replace(tzinfo=UTC)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="etcd-bridge", daemon=True)

    @property
    def leads(self) -> bool:
        """Whether this is the bridge that writes."""
        return self._term is not None

    def start(self) -> None:
        """Works in the background; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and lets another bridge lead."""
        self._stopping.set()
        if (term := self._term) is not None:
            term.stopping = True
        self._thread.join(STOP_S)

    def run(self) -> None:
        """Works until stopped. A fault of our own is logged and told to `on_failure`."""
        try:
            while not self._stopping.is_set():
                if not self.step(TICK_S):
                    self._stopping.wait(RETRY_S)
        except Exception:
            log.exception("etcd.bridge_failed")
            self._on_failure()
        finally:
            self.close()
            connection.close()

    def step(self, wait_s: float = 0) -> bool:
        """One turn. Returns whether the next should follow at once: False while standing by and in an outage."""
        try:
            return self._turn(wait_s)
        except Stopping:
            return True
        except LostLead as error:
            self._end_term(f"the lead is lost: {error}")
        except (Unavailable, Refused) as error:
            self._end_term(str(error))
        except (OperationalError, InterfaceError) as error:
            self._end_term(f"the database is away: {error}")
            connection.close()
        return False

    def close(self) -> None:
        """Gives up the lead and the connection to etcd."""
        if self._term is not None:
            self._term.resign()
            self._term = None
        self._link.close()

    def _turn(self, wait_s: float) -> bool:
        if self._term is not None:
            self._term.step(wait_s)
            self._show()
            return True
        term = take_lead(self._link, self._names, self._clock, self._holder)
        if term is None:
            self._say("another bridge leads")
            return False
        self._term = term
        if self._stopping.is_set():
            raise Stopping
        term.begin()
        self._say("")
        log.info("etcd.leading prefix=%r holder=%s", self._names.prefix, self._holder)
        return True

    def _show(self) -> None:
        """Lets others see that etcd is reached, for a while."""
        now = self._clock()
        if now >= self._show_at:
            self._show_at = now + timedelta(seconds=REACHED_LASTS_S / 3)
            leases.acquire(ETCD_REACHED, self._holder, now, REACHED_LASTS_S)

    def _end_term(self, trouble: str) -> None:
        """Each trouble is told once, however long it lasts."""
        self._say(trouble)
        if self._term is not None:
            self._term.resign()
            self._term = None

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("etcd.interrupted reason=%s", trouble)
        self._trouble = trouble
