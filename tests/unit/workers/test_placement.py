"""Which worker is chosen, and what those say that are not."""

from collections import Counter

import pytest

from workers.core.placement import SCORERS, Host, Request, place, summary

ROUND_ROBIN = SCORERS["round_robin"]
A = Host("1", "host-a", labels={"zone": "a"}, facts={"cores": 8, "executors": ["bash", "docker"]})
B = Host("2", "host-b", labels={"zone": "b"}, facts={"cores": 2, "executors": ["bash"]})


def reason_of(request: Request, *hosts: Host) -> str:
    (placement,), _ = place([request], hosts, ROUND_ROBIN)
    assert placement.host_id is None
    return placement.reason


def test_requests_of_one_list_are_spread_evenly() -> None:
    placements, _ = place([Request(str(n)) for n in range(6)], [A, B], ROUND_ROBIN)

    assert Counter(placement.host_id for placement in placements) == {"1": 3, "2": 3}


def test_single_requests_are_spread_evenly_too() -> None:
    hosts = {host.id: host for host in (A, B)}
    chosen = []
    for n in range(6):
        (placement,), given = place([Request(str(n))], list(hosts.values()), ROUND_ROBIN)
        chosen.append(placement.host_id)
        hosts |= {host.id: host for host in given}

    assert chosen == ["1", "2", "1", "2", "1", "2"]


def test_least_loaded_takes_the_one_with_the_fewest_unfinished() -> None:
    busy = Host("1", "host-a", load=3)
    placements, _ = place([Request(str(n)) for n in range(5)], [busy, B], SCORERS["least_loaded"])

    assert [placement.host_id for placement in placements] == ["2", "2", "2", "1", "2"]


def test_a_worker_that_lost_or_refused_it_is_avoided_where_another_fits() -> None:
    (with_other,), _ = place([Request("r", avoid="1")], [A, B], ROUND_ROBIN)
    (alone,), _ = place([Request("r", avoid="1")], [A], ROUND_ROBIN)

    assert (with_other.host_id, alone.host_id) == ("2", "1")


@pytest.mark.parametrize(
    ("on", "host_id"), [("host-b", "2"), ("zone=b", "2"), ("cores>=4", "1"), ("name=host-a and zone=a", "1")]
)
def test_an_expression_limits_the_choice(on: str, host_id: str) -> None:
    placements, _ = place([Request(str(n), on=on) for n in range(2)], [A, B], ROUND_ROBIN)

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
