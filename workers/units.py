"""How other apps take part in what agents do, without the ground knowing them.

An app that owns a kind of unit (`command`, `task`, …) registers who applies reports on it. Handlers run inside the one
transaction that applies an envelope, with the reports in the order sent. `send` publishes after commit.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from workers.protocol import Order, Report


class ReportHandler(Protocol):
    """Applies reports of one kind of unit from one host, by compare-and-set; late or doubled ones change nothing."""

    def __call__(self, host: str, reports: Sequence[Report], now: datetime) -> None: ...


HostLost = Callable[[str, str, datetime], None]

_handlers: dict[str, ReportHandler] = {}
_host_lost: list[HostLost] = []


def register_kind(kind: str, handler: ReportHandler) -> None:
    """`kind` is the part of a unit's name before the slash. Call it in the app's `ready()`."""
    _handlers[kind] = handler


def on_host_lost(listener: HostLost) -> None:
    """`listener(host, reason, now)` is called, in the sweeper's transaction, when a host becomes disconnected."""
    _host_lost.append(listener)


def handlers() -> Mapping[str, ReportHandler]:
    return _handlers


def host_lost_listeners() -> Sequence[HostLost]:
    return _host_lost


def send(orders: Mapping[str, Sequence[Order]]) -> None:
    """Publishes orders to hosts once the surrounding transaction has committed. A lost send is repeated by the sweeper
    of the app that owns the unit."""
    from workers.dispatch import publish_after_commit

    publish_after_commit(orders)
