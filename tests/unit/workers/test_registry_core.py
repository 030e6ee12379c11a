"""Whose heartbeat counts, and which reports an agent may forget."""

from typing import Any

import pytest

from workers.core.registry import Claim, Known, judge
from workers.core.sequence import Progress, advance
from workers.protocol import Heartbeat

ROW = Known("id-a", "host-a", "s1", 100.0, connected=True, stopped=False)


def beat(**fields: Any) -> Heartbeat:
    stated: dict[str, Any] = {"host": "host-a", "worker_id": "id-a", "session": "s1", "started_at": 100.0} | fields
    return Heartbeat(sent_at=0, version="", address="", **stated)


def row(**fields: Any) -> Known:
    return Known(**{**{name: getattr(ROW, name) for name in ROW.__dataclass_fields__}, **fields})


NEW_SESSION = {"session": "s2", "started_at": 200.0}
OLD_SESSION = {"session": "s0", "started_at": 50.0}
OTHER_ID = {"worker_id": "id-b"}


@pytest.mark.parametrize(
    ("heartbeat", "by_name", "by_id", "claim"),
    [
        (beat(), None, None, Claim.NEW),
        (beat(), ROW, ROW, Claim.ALIVE),
        (beat(), row(connected=False), ROW, Claim.RETURNED),
        (beat(), row(connected=False, stopped=True), ROW, Claim.REFUSED),
        (beat(stopping=True), row(connected=False, stopped=True), ROW, Claim.ALIVE),
        (beat(**NEW_SESSION), ROW, ROW, Claim.RESTARTED),
        (beat(**NEW_SESSION), row(connected=False, stopped=True), ROW, Claim.RESTARTED),
        (beat(**OLD_SESSION), ROW, ROW, Claim.SUPERSEDED),
        (beat(**OLD_SESSION), row(connected=False), ROW, Claim.RESTARTED),
        (beat(**OTHER_ID, **NEW_SESSION), ROW, None, Claim.TAKEN_OVER),
        (beat(**OTHER_ID, **OLD_SESSION), ROW, None, Claim.SUPERSEDED),
        (beat(**OTHER_ID, **OLD_SESSION), row(connected=False), None, Claim.TAKEN_OVER),
        (beat(host="host-b"), None, row(connected=False), Claim.RENAMED),
        (beat(host="host-b"), None, ROW, Claim.REFUSED),
        (beat(host="host-b"), row(name="host-b", id="id-b"), row(connected=False), Claim.REFUSED),
    ],
)
def test_each_heartbeat_is_judged_by_name_id_and_session(
    heartbeat: Heartbeat, by_name: Known | None, by_id: Known | None, claim: Claim
) -> None:
    judgement = judge(heartbeat, by_name, by_id)

    assert judgement.claim is claim
    assert judgement.reason or claim is Claim.ALIVE


@pytest.mark.parametrize(
    ("envelopes", "acknowledged"),
    [
        ([(1, 3)], 3),
        ([(1, 3), (4, 6)], 6),
        ([(1, 3), (1, 3)], 3),
        ([(1, 6), (1, 3)], 6),
        ([(1, 3), (7, 9)], 3),
        ([(1, 3), (7, 9), (4, 6)], 6),
        ([(1, 3), (7, 9), (4, 9)], 9),
        ([(1, 3), (7, 9), (7, 9)], 9),
        ([(40, 50)], 50),
    ],
)
def test_reports_are_acknowledged_up_to_the_first_that_is_missing(
    envelopes: list[tuple[int, int]], acknowledged: int
) -> None:
    progress = Progress()
    for first, last in envelopes:
        progress = advance(progress, first, last)

    assert progress.applied == acknowledged
