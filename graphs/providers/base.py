"""What every provider is: it checks components before a graph is accepted, starts them, and may stop them.

Invariant: `start` is called once per (component, attempt), after or within the transaction that made it running.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.checks import CheckMessage

from scheduler_project.toolkit.errors import Fault


@dataclass(frozen=True)
class Send:
    """One component as it goes out: templates filled in, `service` and `_state: running` in its document."""

    pk: int
    graph_id: str
    component_id: str
    attempt: int
    type: str
    verb: str
    provider: str
    document: Mapping[str, Any]


class Provider:
    """Base of all providers. `alias` is the name it is configured under.

    `supports_transaction`: it starts components by writing to our own database, so `start` runs in the transaction
    that makes them running. Otherwise a process that has its link claims the components and sends them after commit.
    `sends_after_commit`: `start` only arranges that they are sent once that transaction has committed, so until they
    are known to be sent they are looked after like those of a link.
    `supports_cancel`: `cancel` has an effect.
    """

    supports_transaction = False
    sends_after_commit = False
    supports_cancel = False

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @property
    def is_sent_in_transaction(self) -> bool:
        """Whether what runs is known to have been started."""
        return self.supports_transaction and not self.sends_after_commit

    def look_after(self, now: datetime) -> None:
        """Does again what a crash or a lost message left undone; the first part of every sweep."""

    def check(self) -> list[CheckMessage]:
        """Messages for `manage.py check`."""
        return []

    def faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        """What is wrong with a component that this provider is to carry out."""
        return ()

    def start(self, sends: Sequence[Send], now: datetime) -> Mapping[int, str]:
        """Starts components. Returns handles, the provider's own ids, by `Send.pk`."""
        return {}

    def cancel(self, handles: Sequence[str], now: datetime, actor: str) -> None:
        """Stops what is in flight under these handles."""
