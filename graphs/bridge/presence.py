"""Tells the web processes, through the database, that a bridge reaches NATS and in which mode."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from scheduler_project.toolkit import leases
from workers.links.nats import CORE, JETSTREAM

TOLD_EVERY_S = 5.0
LASTS_S = 20.0
LEASES: Mapping[str, str] = {CORE: "nats-bridge-core", JETSTREAM: "nats-bridge-jetstream"}
HOLDER = "bridges"


class Presence:
    """One bridge's word that it is there, said again every few seconds."""

    def __init__(self) -> None:
        self._told_at: datetime | None = None

    def tell(self, mode: str, now: datetime) -> None:
        """Says that NATS is reached in this mode. Costs a query only when it is time to say so again."""
        if self._told_at is None or now >= self._told_at + timedelta(seconds=TOLD_EVERY_S):
            leases.acquire(LEASES[mode], HOLDER, now, LASTS_S)
            self._told_at = now
