"""Which worker is chosen, and what those say that are not."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from workers.core.hosts import Host
from workers.core.placement import Placement, Request, place, summary
from workers.core.scorers import Chance, LeastLoaded, Pack, RoundRobin, Scorer

ROUND_ROBIN = RoundRobin("round_robin")
A = Host("1", "host-a", labels={"zone": "a"}, facts={"cores": 8, "executors": ["bash", "docker"]})
B = Host("2", "host-b", labels={"zone": "b"}, facts={"cores": 2, "executors": ["bash"]})


def spread(
    requests: Sequence[Request], hosts: Sequence[Host], scorer: Scorer, seed: int = 0
) -> tuple[list[Placement], list[Host]]:
    return place(requests, hosts, scorer, Random(seed).random)


def counts(scorer: Scorer, hosts: Sequence[Host], requests: int = 1000, seed: int = 0) -> Counter[str | None]:
    placements, _ = spread([Request(str(n)) for n in range(requests)], hosts, scorer, seed)
    return Counter(placement.host_id for placement in placements)


def reason_of(request: Request, *hosts: Host) -> str:
    (placement,), _ = spread([request], hosts, ROUND_ROBIN)
    assert placement.host_id is None
    return placement.reason


def test_requests_of_one_list_are_spread_evenly() -> None:
    placements, _ = spread([Request(str(n)) for n in range(6)], [A, B], ROUND_ROBIN)

    assert Counter(placement.host_id for placement in placements) == {"1": 3, "2": 3}


def test_single_requests_are_spread_evenly_too() -> None:
    hosts = {host.id: host for host in (A, B)}
    chosen = []
    for n in range(6):
        (placement,), given = spread([Request(str(n))], list(hosts.values()), ROUND_ROBIN)
        chosen.append(placement.host_id)
        hosts |= {host.id: host for host in given}

    assert chosen == ["1", "2", "1", "2", "1", "2"]


def test_least_loaded_takes_the_one_with_the_fewest_unfinished() -> None:
    busy = Host("1", "host-a", load=3)
    placements, _ = spread([Request(str(n)) for n in range(5)], [busy, B], LeastLoaded("least_loaded"))

    assert [placement.host_id for placement in placements] == ["2", "2", "2", "1", "2"]


def test_a_worker_that_lost_or_refused_it_is_avoided_where_another_fits() -> None:
    (with_other,), _ = spread([Request("r", avoid="1")], [A, B], ROUND_ROBIN)
    (alone,), _ = spread([Request("r", avoid="1")], [A], ROUND_ROBIN)

    assert (with_other.host_id, alone.host_id) == ("2", "1")


@pytest.mark.parametrize(
    ("on", "host_id"), [("host-b", "2"), ("zone=b", "2"), ("cores>=4", "1"), ("name=host-a and zone=a", "1")]
)
def test_an_expression_limits_the_choice(on: str, host_id: str) -> None:
    placements, _ = spread([Request(str(n), on=on) for n in range(2)], [A, B], ROUND_ROBIN)

    assert {placement.host_id for placement in placements} == {host_id}


def test_a_label_hides_a_fact_of_the_same_name() -> None:
    host = Host("1", "host-a", labels={"cores": "1"}, facts={"cores": 64})

    assert "its cores is 1" in reason_of(Request("r", on="cores>4"), host)


@pytest.mark.parametrize(
    ("request_", "host", "reason"),
    [
        (Request("r"), Host("1", "host-a", connected=False), "no worker fits: host-a: disconnected"),
        (Request("r"), Host("1", "host-a", draining=True), "no worker fits: host-a: draining"),
        (Request("r", executor="docker"), B, "no worker fits: host-b: no executor docker"),
        (Request("r", on="zone=a"), B, "no worker fits: host-b: its zone is b, zone=a is wanted"),
    ],
)
def test_a_request_that_waits_says_why(request_: Request, host: Host, reason: str) -> None:
    assert reason_of(request_, host) == reason


def test_without_any_worker_the_reason_says_so() -> None:
    assert reason_of(Request("r")) == "no worker has ever connected"


def test_reasons_of_many_workers_stay_readable() -> None:
    refusals = [(f"host-{n}", "disconnected") for n in range(5)] + [(f"x{n}", f"reason {n}") for n in range(6)]

    text = summary(refusals)

    assert text.startswith("no worker fits: host-0, host-1, host-2 and 2 more: disconnected; x0: reason 0")
    assert text.endswith("and 2 more reasons")


FOUR = [Host(str(n), f"host-{n}", slots=400) for n in range(4)]


def test_pack_fills_one_worker_before_it_begins_the_next() -> None:
    assert counts(Pack("pack"), FOUR, 500) == {"0": 400, "1": 100}


def test_the_measured_spread_of_each_way_is_as_even_as_it_says() -> None:
    even = {str(n): 250 for n in range(4)}

    assert counts(RoundRobin("rr"), FOUR) == even
    assert counts(LeastLoaded("ll"), FOUR) == even
    by_lot = counts(Chance("random"), FOUR)
    assert all(250 - 50 < count < 250 + 50 for count in by_lot.values())


def test_least_loaded_fills_large_and_small_workers_to_the_same_part() -> None:
    hosts = [Host("1", "large", slots=300), Host("2", "small", slots=100)]

    assert counts(LeastLoaded("ll"), hosts, 200) == {"1": 150, "2": 50}


def test_one_seed_gives_one_draw() -> None:
    def drawn(seed: int) -> list[str | None]:
        placements, _ = spread([Request(str(n)) for n in range(20)], FOUR, Chance("random"), seed)
        return [placement.host_id for placement in placements]

    assert drawn(1) == drawn(1) != drawn(2)


def test_no_worker_is_given_more_than_its_slots_and_the_rest_says_why_it_waits() -> None:
    hosts = [Host("1", "host-a", slots=2, load=1), Host("2", "host-b", slots=1)]

    placements, given = spread([Request(str(n)) for n in range(3)], hosts, ROUND_ROBIN)

    assert [placement.host_id for placement in placements] == ["1", "2", None]
    assert placements[2].reason == "no worker fits: host-a: all 2 slots taken; host-b: all 1 slots taken"
    assert {host.name: host.load for host in given} == {"host-a": 2, "host-b": 1}


def test_a_worker_gives_only_its_share() -> None:
    placements, _ = spread([Request("1"), Request("2")], [Host("1", "a", slots=2)], RoundRobin("rr", share=0.5))

    assert [placement.host_id for placement in placements] == ["1", None]
    assert placements[1].reason == "no worker fits: a: all 1 slots taken of the 50% that may be"


def test_a_placement_says_why_this_worker() -> None:
    (chosen,), _ = spread([Request("r")], [A, B], Pack("pack"))
    (only,), _ = spread([Request("r", on="host-b")], [A, B], Pack("pack"))

    assert (chosen.reason, only.reason) == ("it was the fullest with room", "no other fits")
