"""Graphs that are over are kept for as long as the settings say, and with them what they need."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

import topologies.store
import workers.store
from graphs import store
from graphs.models import Component, Edge, Graph
from graphs.store import forgetting
from topologies.models import Run, Topology
from workers.models import Command

pytestmark = pytest.mark.django_db
KEEP = timedelta(days=90)
SECOND = timedelta(seconds=1)


@pytest.fixture
def now(settings: Any) -> datetime:
    """The present, as ids are made by the machine's clock."""
    settings.SCHEDULER_KEEP_GRAPHS_DAYS = settings.SCHEDULER_KEEP_COMMANDS_DAYS = KEEP.days
    settings.NATS_URI = ""
    return timezone.now()


def submitted(graph_id: str, now: datetime, size: int = 1) -> Graph:
    """A graph whose commands have been sent, one after the other."""
    names = [f"job::{number}" for number in range(size)]
    changes = [
        {"_component": "job", "_component_id": name, "_action": "run", "_provider": "command", "command": "true"}
        for name in names
    ]
    pairs = zip(["start", *names], names, strict=False)
    edges = [{"source": source, "destination": destination} for source, destination in pairs]
    graph = store.submit({"id": graph_id, "changes": changes, "edges": edges}, now, source="http")
    store.advance([graph.pk], now)
    return graph


def ended(graph_id: str, now: datetime, size: int = 1) -> Graph:
    """A graph that is over, each of its commands done."""
    graph = submitted(graph_id, now, size)
    for _ in range(size):
        command = Command.objects.get(state="pending")
        Command.objects.filter(id=command.id).update(state="done", exit_code=0, ended_at=now, remind_at=None)
        store.settle_commands([Command.objects.get(id=command.id)], now)
        store.advance([graph.pk], now)
    graph.refresh_from_db()
    assert graph.state == "completed"
    return graph


def test_a_graph_that_is_over_goes_once_it_is_old(now: datetime) -> None:
    ended("old", now, size=2)

    store.forget(now + KEEP)
    assert Graph.objects.exists()
    store.forget(now + KEEP + SECOND)

    assert (Graph.objects.count(), Component.objects.count(), Edge.objects.count()) == (0, 0, 0)


def test_a_graph_that_is_not_over_stays_and_so_do_its_commands(now: datetime) -> None:
    graph = submitted("waits", now, size=2)
    command = Command.objects.get()
    Command.objects.update(state="done", exit_code=0, ended_at=now, remind_at=None)
    store.settle_commands([Command.objects.get()], now)

    store.forget(now + 2 * KEEP)
    workers.store.forget(now + 2 * KEEP)

    assert Graph.objects.get().pk == graph.pk
    assert Command.objects.filter(id=command.id).exists()


def test_the_commands_of_a_graph_that_is_over_go_by_their_own_age(now: datetime) -> None:
    ended("old", now)

    workers.store.forget(now + KEEP + SECOND)

    assert not Command.objects.exists()
    assert Graph.objects.exists()


def test_an_end_that_is_still_to_be_announced_is_not_forgotten(now: datetime, settings: Any) -> None:
    settings.NATS_URI = "nats://here"
    graph = ended("old", now)

    store.forget(now + KEEP + SECOND)
    assert Graph.objects.exists()
    store.mark_announced([graph.pk], now)
    store.forget(now + KEEP + SECOND)

    assert not Graph.objects.exists()


def test_a_graph_inside_of_one_that_is_not_over_stays_as_long(now: datetime) -> None:
    outer = submitted("outer", now)
    Command.objects.all().delete()
    inner = ended("inner", now)
    Graph.objects.filter(pk=inner.pk).update(parent=Component.objects.get(graph=outer))

    store.forget(now + KEEP + SECOND)
    assert Graph.objects.filter(pk=inner.pk).exists()
    Graph.objects.filter(pk=outer.pk).update(state="completed", ended_at=now, announce_at=None)
    store.forget(now + KEEP + SECOND)

    assert not Graph.objects.exists()


def test_a_large_graph_goes_in_parts_its_row_last(now: datetime, monkeypatch: Any) -> None:
    ended("old", now, size=4)
    monkeypatch.setattr(forgetting, "ROWS_PER_STEP", 3)

    store.forget(now + KEEP + SECOND)
    assert Graph.objects.exists()
    assert Edge.objects.count() + Component.objects.count() == 5
    store.forget(now + KEEP + SECOND)
    store.forget(now + KEEP + SECOND)

    assert (Graph.objects.count(), Component.objects.count(), Edge.objects.count()) == (0, 0, 0)


def test_a_run_goes_with_its_graph_and_the_newest_of_its_topology_stays(now: datetime) -> None:
    topology = Topology.objects.create(name="report", spec={}, created_at=now, updated_at=now)

    def run(number: int, state: str, graph_id: str) -> str:
        one = now + number * SECOND
        run_id = old_id(number)
        Run.objects.create(
            id=run_id,
            topology=topology,
            topology_version=1,
            kind="instant",
            scheduled_at=one,
            state=state,
            graph_id=graph_id,
            created_at=one,
            ended_at=None if state == "running" else one,
        )
        return run_id

    ended("awaited", now)
    ended("settled", now)
    run(1, "successful", "settled")
    awaited = run(2, "running", "awaited")
    newest = run(3, "successful", "")

    store.forget(now + KEEP + 9 * SECOND)
    topologies.store.forget(now + KEEP + 9 * SECOND)

    assert list(Graph.objects.values_list("pk", flat=True)) == ["awaited"]
    assert set(Run.objects.values_list("id", flat=True)) == {awaited, newest}


def old_id(number: int) -> str:
    """The id of a run made some seconds after the epoch."""
    return f"00000000-0{number:03}-7000-8000-000000000000"
