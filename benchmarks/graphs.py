"""The graph engine through the whole system, beside the floor of what it does and beside its peers, in one run.

Real PostgreSQL with durable commits, NATS, Valkey, one control worker, one bridge, the clock, and a connector that
answers at once. For each case: the rate from the moment the mapping is handed over to the moment its end is in the
database, the floor, their ratio, and CPU time for a component and peak memory by process.

    make bench     or: .venv/bin/python benchmarks/graphs.py [chain] [fan] [large] [scaling] [peers]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bare_nats import BareNats
from benchmarks.commands import System, noops_per_s, set_up_django
from benchmarks.echo import LISTENING, PROVIDER
from benchmarks.peers import show_peers
from benchmarks.usage import Meter
from tests.support.processes import Processes
from tests.support.servers import DurablePostgresServer, NatsServer, ValkeyServer
from tests.support.wait import wait_until
from workers.links.backlog import Message
from workers.links.nats import NatsLink

PEERS = "peers"
CHAINS = 7
SMALL = 100
LAYER = 1000
LAYER_OF_SMALL = 10
EDGES_EACH = (0, 1, 7)
FLOOR_BATCH = 500
ENDED_WITHIN_S = 600
STARTED_WITHIN_S = 5
Document = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One case: so many components in so many seconds."""

    components: int
    seconds: float
    floor_s: float

    @property
    def ms_each(self) -> float:
        return 1000 * self.seconds / self.components

    def __str__(self) -> str:
        return (
            f"{self.ms_each:8.3f} ms each  {self.components / self.seconds:8.0f}/s   "
            f"floor {1000 * self.floor_s / self.components:.3f} ms   ratio {self.seconds / self.floor_s:.2f}"
        )


class Bench:
    """The running system and what measures it."""

    def __init__(self, system: System, nats: NatsServer, meter: Meter) -> None:
        self.system = system
        self.meter = meter
        self.bare = BareNats(nats.port)
        self.link = NatsLink(nats.url, ("build.*.done", "build.*.error"), "benchmark", "benchmark")
        self.link.start()
        self.link.wait_connected(30)

    def chain(self, length: int) -> Measured:
        """Chains started by a message on NATS, timed outside: from the publish to the message that tells the end."""
        floor_s = self.chain_floor_s(length)
        seconds = [self.one_chain_s(length, number) for number in range(CHAINS)]
        return Measured(length, median(seconds[1:]), floor_s)

    def one_chain_s(self, length: int, number: int) -> float:
        mapping = chained(f"chain-{number}", length)
        began_at = time.perf_counter()
        self.link.publish([Message("build.create", json.dumps(mapping).encode())])
        (end,) = self.link.take(1, ENDED_WITHIN_S)
        took_s = time.perf_counter() - began_at
        if end.subject != "build.create.done":
            sys.exit(f"{end.subject}: {end.data[:2000]!r}")
        return took_s

    def chain_floor_s(self, length: int) -> float:
        """Two durable commits of a row and one NATS round trip for each component, with nothing else."""
        with psycopg.connect(self.system.database_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS floor (id int PRIMARY KEY, state text)")
            connection.execute("INSERT INTO floor VALUES (0, '') ON CONFLICT DO NOTHING")
            began_at = time.perf_counter()
            for number in range(length):
                for state in ("running", "completed"):
                    connection.execute("UPDATE floor SET state = %s WHERE id = 0", [f"{state} {number}"])
                self.bare.exchange(1)
            return time.perf_counter() - began_at

    def whole(self, mappings: Sequence[Document]) -> Measured:
        """Graphs handed over as the web process would, until all have ended."""
        count = sum(len(mapping["changes"]) for mapping in mappings)
        floor_s = self.rows_floor_s(count)
        took_s = self.run(mappings)
        return Measured(count, took_s, floor_s)

    def run(self, mappings: Sequence[Document]) -> float:
        from django.utils import timezone

        from graphs.models import Graph
        from graphs.store import submit

        ids = [mapping["id"] for mapping in mappings]
        open_graphs = Graph.objects.filter(id__in=ids).unfinished()
        began_at = time.perf_counter()
        for mapping in mappings:
            submit(mapping, timezone.now(), source="http")
        accepted_s = time.perf_counter() - began_at
        wait_until(lambda: not open_graphs.exists(), ENDED_WITHIN_S, every_s=0.05, what="all graphs to end")
        took_s = time.perf_counter() - began_at
        wrong = Graph.objects.filter(id__in=ids).exclude(state="completed")
        if wrong.exists():
            sys.exit(f"not completed: {[(graph.id, graph.reason) for graph in wrong[:5]]}")
        count = sum(len(mapping["changes"]) for mapping in mappings)
        print(f"{'  of that, until all was accepted':<44} {1000 * accepted_s / count:8.3f} ms each")
        return took_s

    def rows_floor_s(self, count: int) -> float:
        """Each component as one row that is written, sent to the connector, and marked twice; in durable batches."""
        with psycopg.connect(self.system.database_url) as connection:
            connection.execute("DROP TABLE IF EXISTS floor_rows")
            connection.execute("CREATE TABLE floor_rows (id int PRIMARY KEY, state text, document jsonb)")
            connection.commit()
            began_at = time.perf_counter()
            for start in range(0, count, FLOOR_BATCH):
                ids = list(range(start, min(start + FLOOR_BATCH, count)))
                connection.execute("INSERT INTO floor_rows SELECT unnest(%s::int[]), 'waiting', '{}'", [ids])
                for state in ("running", "completed"):
                    connection.execute("UPDATE floor_rows SET state = %s WHERE id = ANY(%s)", [state, ids])
                    connection.commit()
                self.bare.exchange(len(ids))
            return time.perf_counter() - began_at


def component(name: str) -> Document:
    return {"_component": "thing", "_component_id": name, "_action": "create", "_provider": PROVIDER, "name": name}


def chained(graph_id: str, length: int) -> Document:
    """Each component waits for the one before."""
    names = [f"thing::{number}" for number in range(length)]
    edges = [{"source": source, "destination": name} for source, name in zip(["start", *names], names, strict=False)]
    return mapping_of(graph_id, names, edges)


def fanned(graph_id: str, width: int) -> Document:
    """Components that wait for nothing, and one that waits for them all."""
    names = [f"thing::{number}" for number in range(width)]
    edges = [{"source": "start", "destination": name} for name in names]
    edges += [{"source": name, "destination": "thing::join"} for name in names]
    return mapping_of(graph_id, [*names, "thing::join"], edges)


def layered(graph_id: str, count: int, width: int) -> Document:
    """Layers; each component waits for three of the layer before its own."""
    names = [f"thing::{number}" for number in range(count)]
    edges = [{"source": "start", "destination": name} for name in names[:width]]
    for number in range(width, count):
        first = (number // width - 1) * width
        sources = {first + (number + step) % width for step in EDGES_EACH}
        edges += [{"source": names[source], "destination": names[number]} for source in sources]
    return mapping_of(graph_id, names, edges)


def mapping_of(graph_id: str, names: Sequence[str], edges: Sequence[Document]) -> Document:
    return {"id": graph_id, "action": "build.create", "changes": [component(name) for name in names], "edges": edges}


def main() -> None:
    cases: dict[str, Callable[[Bench, argparse.Namespace], None]] = {
        "chain": show_chain,
        "fan": show_fan,
        "large": show_large,
        "scaling": show_scaling,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*cases, PEERS, []], help="which to run; all unless told")
    parser.add_argument("--chain", type=int, default=40, help="components of the chain")
    parser.add_argument("--fan", type=int, default=10_000, help="components of the fan")
    parser.add_argument("--large", type=int, default=100_000, help="components of the large graph")
    parser.add_argument("--noops", type=int, default=5_000, help="Celery's tasks that do nothing")
    options = parser.parse_args()
    wanted = options.cases or [*cases, PEERS]
    with running_bench() as bench:
        for name in cases:
            if name in wanted:
                cases[name](bench, options)
    if PEERS in wanted:
        show_peers(options.chain, options.fan)


@contextmanager
def running_bench() -> Iterator[Bench]:
    """All servers and processes, up; and down again with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(closing(DurablePostgresServer()))
        valkey = stack.enter_context(closing(ValkeyServer()))
        nats = stack.enter_context(closing(NatsServer()))
        system = System(Processes(folder), valkey, postgres.create_database())
        stack.callback(system.processes.end_all)
        environment = set_up_django(system.database_url, valkey.url, folder)
        parts = {
            "bridge": system.worker("nats", NATS_URI=nats.url),
            "control": system.worker("control"),
            "clock": system.processes.celery("beat", **environment),
            "PostgreSQL": postgres.process,
            "NATS": nats.process,
            "Valkey": valkey.process,
            "connector": system.processes.python("-m", "benchmarks.echo", nats.url),
        }
        parts["connector"].wait_for_line(LISTENING)
        time.sleep(STARTED_WITHIN_S)  # so that no process is measured while it starts
        meter = Meter({name: part.pid for name, part in parts.items()} | {"web (this process)": os.getpid()})
        bench = Bench(system, nats, meter)
        stack.callback(bench.link.stop)
        yield bench


def show_chain(bench: Bench, options: argparse.Namespace) -> None:
    with bench.meter.measuring(options.chain * CHAINS):
        print(f"{f'(a) chain of {options.chain}':<44} {bench.chain(options.chain)}", flush=True)


def show_fan(bench: Bench, options: argparse.Namespace) -> None:
    noops = noops_per_s(bench.system, options.noops)
    mapping = fanned("fan", options.fan)
    with bench.meter.measuring(options.fan):
        measured = bench.whole([mapping])
    print(f"{f'(b) {options.fan} independent and a join':<44} {measured}", flush=True)
    rate = measured.components / measured.seconds
    print(f"{'    Celery alone: tasks that do nothing':<44} {noops:8.0f}/s   ratio {rate / noops:.2f}", flush=True)


def show_large(bench: Bench, options: argparse.Namespace) -> None:
    mapping = layered("large", options.large, LAYER)
    with bench.meter.measuring(options.large):
        measured = bench.whole([mapping])
    edges = len(mapping["edges"])
    print(f"{f'(c) {options.large} with {edges} edges':<44} {measured}", flush=True)


def show_scaling(bench: Bench, options: argparse.Namespace) -> None:
    small = [layered(f"small-{n}", SMALL, LAYER_OF_SMALL) for n in range(max(1, options.fan // SMALL))]
    few = bench.whole(small)
    many = bench.whole([layered("as-large", options.large, LAYER)])
    print(f"{f'(d) {len(small)} graphs of {SMALL}':<44} {few}")
    print(f"{f'    one graph of {options.large}':<44} {many}   ratio {many.ms_each / few.ms_each:.2f}", flush=True)


if __name__ == "__main__":
    main()
