"""Keeps the attempts that a component's own row does not tell: those that failed, and all after the first.

A component that is completed at its first attempt costs nothing here.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphs.core.attempts import is_kept, sent_document
from graphs.models import Attempt
from graphs.store.ledger import Ledger
from scheduler_project.toolkit.bulk import insert_missing_rows
from scheduler_project.toolkit.masking import masked

if TYPE_CHECKING:
    from graphs.store.settling import Settled

REPLY_CHARACTERS = 2000


def keep_attempts(settled: "Sequence[Settled]", ledger: Ledger) -> None:
    """Writes the attempts that have ended now, where they are to be kept."""
    rows = [
        attempt_of(one, ledger)
        for one in settled
        if one.before == "running" and is_kept(one.row.attempt, one.row.state)
    ]
    if rows:
        insert_missing_rows(rows)


def attempt_of(settled: "Settled", ledger: Ledger) -> Attempt:
    """The record of a component's last attempt, which ends now; one that is followed by another has failed."""
    row = settled.row
    graph = ledger.graphs[row.graph_id]
    outcome = "errored" if row.state == "waiting" else row.state
    return Attempt(
        component=row,
        number=row.attempt,
        run=graph.run,
        outcome="unknown" if row.silent else outcome,
        reason=row.reason,
        handle=row.handle,
        reply=_excerpt(settled),
        sent=sent_document(settled.sent, graph.options),
        decided_by=row.decided_by,
        started_at=row.started_at,
        sent_at=row.sent_at,
        seen_at=row.seen_at,
        ended_at=ledger.now,
    )


def _excerpt(settled: "Settled") -> str:
    document = settled.reply.document if settled.reply else {}
    return json.dumps(masked(document), ensure_ascii=False)[:REPLY_CHARACTERS] if document else ""
