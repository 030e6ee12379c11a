"""Graphs over real NATS with two bridges and two control workers: all complete, and nothing is sent twice.

In the calm four graphs of 500 components, whose replies are spread over 25 s; in the storm a quarter of them and kills
for 15 s, and with `make prove` (`--full-size`) all of them and kills until the last graph has ended.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.connector import Connector
from tests.support.graph_fleet import GraphFleet, graph_fleet
from tests.support.graph_logs import assert_log_is_whole
from tests.support.servers import NatsServer, PostgresServer, ValkeyServer

pytestmark = pytest.mark.timeout(600)
PROVIDER = "proof"
GRAPHS = 4
SENT_AGAIN = {"_timeout_s": 4, "_attempts": 50, "_resend": "always"}
LAYERS = 5
ENDED_WITHIN_S = 240
MEMORY_MAX_MIB = 300
SEED = 20
STRIKES: Sequence[Callable[[GraphFleet], object]] = (
    lambda system: system.nats.restart(),
    lambda system: system.broker.flush(),
    lambda system: system.postgres.restart(),
    lambda system: system.nats.restart(),
    lambda system: system.nats.forget(),
)


@dataclass(frozen=True)
class Size:
    """How many components each graph has, over what time their replies are spread, and how long kills go on at most."""

    components: int
    spread_s: float
    kills_s: float


FULL, USUAL = Size(500, 25, ENDED_WITHIN_S), Size(125, 10, 15)


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    lasting_nats_server: NatsServer,
    valkey_server: ValkeyServer,
) -> Iterator[GraphFleet]:
    folder = tmp_path_factory.mktemp("graphs")
    with graph_fleet(folder, postgres_server, lasting_nats_server, valkey_server) as started:
        yield started


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return FULL if request.config.getoption("--full-size") else USUAL


@pytest.fixture
def connector(lasting_nats_server: NatsServer) -> Iterator[Connector]:
    started = Connector(lasting_nats_server.url, PROVIDER).start()
    yield started
    started.stop()


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says a figure to whoever runs the tests."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}\n")

    return say


def component(name: str, delay_s: float, policy: dict[str, Any]) -> dict[str, Any]:
    words = {"_component": "part", "_component_id": f"part::{name}", "_provider": PROVIDER}
    more = {"_timeout_s": delay_s + policy["_timeout_s"]} if policy else {}
    return {**words, "_action": "update", "delay_s": round(delay_s, 3), **policy, **more}


def graph(graph_id: str, size: int, spread_s: float, policy: dict[str, Any]) -> dict[str, Any]:
    """Half of it waits for nothing and is answered at any time of the spread; half are five layers that share it."""
    draw = random.Random(f"{SEED}/{graph_id}")
    changes, edges = [], []
    for number in range(size // 2):
        changes.append(component(f"free-{number}", draw.uniform(0, spread_s), policy))
        edges.append(("start", f"part::free-{number}"))
    width = (size - size // 2) // LAYERS
    for layer in range(LAYERS):
        for number in range(width):
            changes.append(component(f"layer-{layer}-{number}", draw.uniform(0, spread_s / LAYERS), policy))
            for other in {number, (number + 1) % width}:
                source = f"part::layer-{layer - 1}-{other}" if layer else "start"
                edges.append((source, f"part::layer-{layer}-{number}"))
    return {
        "id": graph_id,
        "changes": changes,
        "edges": [{"source": source, "destination": destination} for source, destination in sorted(set(edges))],
    }


def kill_one_every_second(system: GraphFleet, draw: random.Random, times: int) -> None:
    for _ in range(times):
        system.kill_one(draw)
        time.sleep(1)


def assert_all_completed_and_each_attempt_was_sent_once(
    system: GraphFleet, connector: Connector, graphs: list[dict[str, Any]]
) -> None:
    wanted = {(one["id"], change["_component_id"]) for one in graphs for change in one["changes"]}
    assert system.states([one["id"] for one in graphs]) == {"completed": len(wanted)}
    assert {(one.graph_id, one.component_id) for one in connector.sent} == wanted
    twice = {sent: times for sent, times in Counter(connector.sent).items() if times > 1}
    assert not twice
    for one in graphs:
        assert_log_is_whole(system.events(one["id"]), one)


def test_in_the_calm_all_complete_and_nothing_is_sent_twice(
    system: GraphFleet, connector: Connector, tell: Callable[[str], None]
) -> None:
    graphs = [graph(f"calm-{number}", FULL.components, FULL.spread_s, {}) for number in range(GRAPHS)]
    ids = [one["id"] for one in graphs]
    began_s = time.monotonic()

    for one in graphs:
        connector.publish("build.create", one)
    system.watch(lambda: system.ended(ids), ENDED_WITHIN_S)
    system.watch(lambda: len(connector.ends) >= len(ids), ENDED_WITHIN_S)

    tell(f"calm: {len(connector.sent)} components in {time.monotonic() - began_s:.1f} s; {system.memory_told()}")
    assert_all_completed_and_each_attempt_was_sent_once(system, connector, graphs)
    assert {one.attempt for one in connector.sent} == {1}
    assert sorted((end.subject, end.graph_id) for end in connector.ends) == [("build.create.done", one) for one in ids]
    assert system.memory_peak_mib() <= MEMORY_MAX_MIB


def test_in_a_storm_all_complete_and_each_attempt_is_sent_at_most_once(
    system: GraphFleet, connector: Connector, size: Size, tell: Callable[[str], None]
) -> None:
    graphs = [graph(f"storm-{number}", size.components, size.spread_s, SENT_AGAIN) for number in range(GRAPHS)]
    ids = [one["id"] for one in graphs]
    began_s = time.monotonic()
    draw = random.Random(SEED)

    for one in graphs:
        connector.request("build.create", one)
    for strike in STRIKES:
        kill_one_every_second(system, draw, int(size.spread_s / len(STRIKES)))
        strike(system)
    while not system.ended(ids):
        assert time.monotonic() - began_s < ENDED_WITHIN_S, system.states(ids)
        if time.monotonic() - began_s < size.kills_s:
            system.kill_one(draw)
        time.sleep(1)
    system.watch(lambda: {end.graph_id for end in connector.ends} == set(ids), ENDED_WITHIN_S)

    again = sum(one.attempt > 1 for one in connector.sent)
    tell(f"storm: {len(connector.sent)} sends, {again} of them further attempts, in {time.monotonic() - began_s:.1f} s")
    tell(f"kills: {dict(system.kills)}; {system.memory_told()}")
    assert_all_completed_and_each_attempt_was_sent_once(system, connector, graphs)
    assert {one["id"] for one in connector.answers} == set(ids)
    assert len({end.message_id for end in connector.ends}) == len(ids)
    assert len(connector.ends) <= len(ids) + system.kills["bridge-1"] + system.kills["bridge-2"]
    assert system.memory_peak_mib() <= MEMORY_MAX_MIB
