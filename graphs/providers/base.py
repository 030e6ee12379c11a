"""What every provider is: it checks components before a graph is accepted, starts them, and may stop them.

Invariant: `start` is called once per (component, attempt), after or within the transaction that made it running.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.checks import CheckMessage
from msgspec import Struct

from graphs.core.cancelling import Told
from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.errors import Fault


class Send(Struct, frozen=True):
    """One component as it goes out: templates filled in, `service` and `_state: running` in its document.

    `previous_handle` is that of the attempt before, where its graph is resumed.
    """

    pk: int
    graph_id: str
    component_id: str
    attempt: int
    type: str
    verb: str
    provider: str
    document: Mapping[str, Any]
    previous_handle: str = ""


class InFlight(Struct, frozen=True):
    """An attempt that is not wanted any more. `handle` is empty where its provider gave none."""

    pk: int
    attempt: int
    handle: str = ""


class Provider:
    """Base of all providers. `alias` is the name it is configured under.

    `supports_transaction`: it starts components by writing to our own database, so `start` runs in the transaction
    that makes them running. Otherwise a process that has its link claims the components and sends them after commit.
    `sends_after_commit`: `start` only arranges that they are sent once that transaction has committed, so until they
    are known to be sent they are looked after like those of a link.
    `supports_cancel`: `cancel` has an effect. `told_only_when_asked`: it is called only where a person asks that
    everybody is told, as the far end is not ours and may not know such a word.
    `supports_begun`: `begun` can tell what has begun; those on NATS say it by themselves.
    `waits_for_people`: nothing is in flight while a component runs, so cancelling need not wait for it.
    `takes_up_again`: resumed, it goes on with what it had begun under the handle of the attempt before.
    `at_once` is how many components it carries out at the same time, 0 for any number; from `OPTIONS` of the setting.
    """

    supports_transaction = False
    sends_after_commit = False
    supports_cancel = False
    told_only_when_asked = False
    supports_begun = False
    waits_for_people = False
    takes_up_again = False
    at_once = 0

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

    def cancel(self, unwanted: Sequence[InFlight], now: datetime, actor: str, told: Told) -> None:
        """Has these attempts stopped, within the transaction that says so; what becomes of each is told by its reply.

        `told` is the wish that this is a part of, for providers that pass it on.
        """

    def begun(self, handles: Sequence[str]) -> Collection[str]:
        """Those of these handles whose work has begun."""
        return ()

    def why_not_by(self, document: Mapping[str, Any], actor: str, role: Role) -> str:
        """Why this person may not decide about a component that waits for people; empty where they may."""
        return ""

    def awaits(self, document: Mapping[str, Any], handle: str) -> str:
        """What a running component waits for, in a person's words. `handle` is empty where there is none."""
        return "its provider has not answered yet"

    def lapse(self, document: Mapping[str, Any]) -> str:
        """How a component ends whose time is up, where there is no doubt what became of it; else empty."""
        return ""
