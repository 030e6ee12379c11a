"""Our cron fires when the real Quartz 2.3.2 does, for hundreds of its own answers (made by tools/quartz_oracle)."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from topologies.core.errors import BadCron
from topologies.core.quartz import Quartz

CASES = json.loads((Path(__file__).parent / "quartz_oracle.json").read_text())
STRAYS_OF_QUARTZ = {
    "0 15 10 29W 2 ?": "where February has no 29th, Quartz sometimes takes the weekday nearest to 1 March",
    "0 0 9 ? 2 6#5": "Quartz goes on past the year 2099",
}
ACCEPTED = [case for case in CASES if "fires" in case and case["expression"] not in STRAYS_OF_QUARTZ]
REFUSED = [case for case in CASES if "refused" in case]


def name_of(case: dict[str, Any]) -> str:
    return f"{case['expression']} {case['zone']} {case['after']}"


@pytest.mark.parametrize("case", ACCEPTED, ids=name_of)
def test_fires_when_quartz_fires(case: dict[str, Any]) -> None:
    cron = Quartz.parse(case["expression"], case["zone"])

    fires = cron.upcoming(datetime.fromisoformat(case["after"]), 5)

    assert fires == [datetime.fromisoformat(fire) for fire in case["fires"]]


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_refuses_what_quartz_refuses(case: dict[str, Any]) -> None:
    with pytest.raises(BadCron):
        Quartz.parse(case["expression"], case["zone"])


def test_the_oracle_has_answers_of_both_kinds() -> None:
    assert len(ACCEPTED) > 550
    assert len(REFUSED) > 50
    assert len(ACCEPTED) + len(REFUSED) + len(STRAYS_OF_QUARTZ) == len(CASES)
