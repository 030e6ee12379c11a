"""Breaks the engine on purpose, one piece at a time, to see that the simulation finds it."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from graphs import store
from graphs.bridge.loop import Bridge
from graphs.core import advance
from graphs.core.advance import Node, Report
from graphs.core.rules import RULES
from graphs.models import Graph
from graphs.store import claiming, ledger, moving
from graphs.store.ledger import Ledger

Mutation = Callable[[pytest.MonkeyPatch], None]


def late_replies_count(patch: pytest.MonkeyPatch) -> None:
    """A reply settles a component whichever attempt it speaks of."""
    refusal = advance._Step.refusal

    def lenient(step: Any, report: Report) -> str:
        why = refusal(step, report)
        return "" if why.startswith("it speaks of attempt") else why

    patch.setattr(advance._Step, "refusal", lenient)


def doubled_replies_count(patch: pytest.MonkeyPatch) -> None:
    """A reply has effect whether or not one is awaited."""
    patch.setattr(advance._Step, "refusal", lambda step, report: "")


def sends_before_it_commits(patch: pytest.MonkeyPatch) -> None:
    """Components go out while the transaction that starts them may still be lost."""
    bridges: list[Bridge] = []

    def push(bridge: Bridge) -> None:
        bridges[:] = [bridge]
        while bridge._send(store.claim_any(bridge._backends(), bridge._clock())):
            pass

    def early(held: Ledger, backends: Sequence[str]) -> Any:
        claimed = claiming.claim_ready(held, backends)
        if claimed.sends and bridges:
            bridges[0]._send(claimed)
            return claiming.Claimed((), claimed.more, any=True)
        return claimed

    patch.setattr(Bridge, "push", push)
    patch.setattr(moving, "claim_ready", early)


def marks_before_it_sends(patch: pytest.MonkeyPatch) -> None:
    """An attempt is marked as sent before it is."""
    send = Bridge._send

    def hasty(bridge: Bridge, claimed: Any) -> bool:
        store.mark_sent(claimed.sends, bridge._clock())
        return send(bridge, claimed)

    patch.setattr(Bridge, "_send", hasty)


def forgets_what_is_due(patch: pytest.MonkeyPatch) -> None:
    """The sweep does not look at deadlines."""
    patch.setattr(moving, "settle_due", lambda now: None)


def starts_too_much(patch: pytest.MonkeyPatch) -> None:
    """Components start after an error and after a cancel as before."""
    patch.setattr(Graph, "rules_that_start", property(lambda graph: RULES))


def starts_too_early(patch: pytest.MonkeyPatch) -> None:
    """One completed dependency is enough for everybody."""
    patch.setattr(advance, "after_change", lambda rule, blockers, before, after: 0)


def writes_in_pieces(patch: pytest.MonkeyPatch) -> None:
    """What belongs into one transaction is written statement by statement."""
    patch.setattr(transaction, "atomic", lambda *_, **__: nullcontext())


def announces_unasked(patch: pytest.MonkeyPatch) -> None:
    """Whoever sees an end that is to be announced announces it."""

    def take(now: datetime) -> list[Graph]:
        return list(Graph.objects.filter(announce_at__lte=now))

    patch.setattr(store, "take_announcements", take)


def repeats_an_attempt(patch: pytest.MonkeyPatch) -> None:
    """What is sent again goes out under the number it had."""

    def same(step: Any, component_id: str, node: Node) -> None:
        row_is_due = step.is_due(node.resend_at) or step.is_due(node.deadline_at)
        if row_is_due:
            step.released.append(component_id)

    patch.setattr(advance._Step, "look_at_running", same)


def numbers_events_loosely(patch: pytest.MonkeyPatch) -> None:
    """The number of the last event is not saved with the graph."""
    patch.setattr(ledger, "SAVED", tuple(name for name in ledger.SAVED if name != "events"))


def settles_without_leave(patch: pytest.MonkeyPatch) -> None:
    """Messages are given back to the server before the database has them."""
    handle = Bridge.handle

    def early(bridge: Bridge, messages: Any) -> None:
        bridge._link.settled(messages)
        handle(bridge, messages)

    patch.setattr(Bridge, "handle", early)


FOUND: Sequence[tuple[Mutation, str, int]] = (
    (late_replies_count, "slow messages", 13),
    (doubled_replies_count, "doubled messages", 6),
    (forgets_what_is_due, "lost messages", 0),
    (marks_before_it_sends, "crashes", 39),
    (sends_before_it_commits, "crashes", 1),
    (writes_in_pieces, "crashes", 3),
    (settles_without_leave, "crashes", 19),
    (announces_unasked, "turns between transactions", 15),
    (repeats_an_attempt, "lost messages", 1),
    (numbers_events_loosely, "any history", 0),
    (starts_too_early, "any history", 0),
    (starts_too_much, "failures and wishes", 4),
)
"""Each mutation, the fault that brings it to light, and a seed that does."""
