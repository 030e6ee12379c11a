"""Topologies fire by the clock: each instant once, late ones within reason, paused ones never."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

import graphs.store
from graphs.models import Graph
from scheduler_project.models import Event
from scheduler_project.toolkit.errors import InvalidDocument
from tests.integration.topologies.support import EVERY_MINUTE, MINUTE, NOON, created, once, seconds, states
from topologies import store
from topologies.models import Run, Topology

pytestmark = pytest.mark.django_db


def test_nothing_fires_before_its_time() -> None:
    created()

    store.fire_due(NOON + seconds(59.9))

    assert states() == []


def test_a_fire_is_a_run_whose_graph_is_submitted() -> None:
    created()

    store.fire_due(NOON + MINUTE)

    run = Run.objects.get()
    assert (run.state, run.kind, run.scheduled_at) == ("running", "cron", NOON + MINUTE)
    graph = Graph.objects.get(pk=run.graph_id)
    assert (graph.source, graph.name) == ("topology", "report")
    assert graph.counts["waiting"] + graph.counts["running"] == 2


def test_the_next_fire_is_kept_with_the_topology() -> None:
    created()

    store.fire_due(NOON + MINUTE + seconds(0.5))

    assert Topology.objects.get().next_run_at == NOON + 2 * MINUTE


def test_a_second_dispatcher_finds_nothing_left_to_fire() -> None:
    created()
    store.fire_due(NOON + MINUTE)

    store.fire_due(NOON + MINUTE)

    assert states() == ["running"]


def test_a_fire_that_was_recorded_before_is_not_repeated_when_the_clock_goes_back() -> None:
    created(overlap="allow")
    store.fire_due(NOON + MINUTE)
    Topology.objects.update(next_run_at=NOON + MINUTE)

    store.fire_due(NOON + MINUTE)

    assert states() == ["running"]
    assert Graph.objects.count() == 1
    assert Topology.objects.get().next_run_at == NOON + 2 * MINUTE


@pytest.mark.django_db(transaction=True)
def test_dispatchers_at_the_same_time_fire_each_instant_once() -> None:
    for number in range(12):
        created(f"report-{number}")
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def dispatch() -> None:
        try:
            start.wait(timeout=10)
            store.fire_due(NOON + MINUTE)
        except BaseException as error:  # noqa: BLE001  (shown by the assertion)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=dispatch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    store.fire_due(NOON + MINUTE)

    assert failures == []
    assert sorted(Run.objects.values_list("topology__name", flat=True)) == sorted(f"report-{n}" for n in range(12))
    assert Graph.objects.count() == 12


def test_a_run_in_progress_makes_the_next_one_skipped_with_the_reason() -> None:
    created()
    store.fire_due(NOON + MINUTE)
    first = Run.objects.get()

    store.fire_due(NOON + 2 * MINUTE)

    skipped = Run.objects.exclude(pk=first.pk).get()
    assert skipped.state == "skipped"
    assert f"run {first.pk} was still in progress" in skipped.reason
    assert skipped.graph_id == ""
    assert Graph.objects.count() == 1


def test_overlap_can_be_allowed() -> None:
    created(overlap="allow")
    store.fire_due(NOON + MINUTE)

    store.fire_due(NOON + 2 * MINUTE)

    assert states() == ["running", "running"]


def test_fires_within_the_grace_are_made_up() -> None:
    created(overlap="allow", trigger={**EVERY_MINUTE, "timeSpec": "0/20 * * * * ?"})

    store.fire_due(NOON + seconds(60))

    assert states() == ["running"] * 3


def test_missed_fires_are_one_run_with_their_number_and_the_schedule_goes_on() -> None:
    created()

    store.fire_due(NOON + timedelta(minutes=30, seconds=30))

    missed, fired = Run.objects.order_by("scheduled_at")
    assert (missed.state, fired.state) == ("missed", "running")
    assert missed.reason.startswith("29 fires from 2026-05-04T12:01:00+00:00 on: nobody fired within 60 s")
    assert fired.scheduled_at == NOON + timedelta(minutes=30)
    assert Topology.objects.get().next_run_at == NOON + timedelta(minutes=31)


def test_an_outage_of_a_year_is_cheap_to_count() -> None:
    created(trigger={**EVERY_MINUTE, "timeSpec": "0 0 * * * ?"})

    store.fire_due(NOON + timedelta(days=365, minutes=5))

    assert Run.objects.get().reason.startswith("more than 1000 fires")


def test_the_grace_is_a_setting(settings: Any) -> None:
    settings.SCHEDULER_MISFIRE_GRACE_S = 5
    created()

    store.fire_due(NOON + MINUTE + seconds(6))

    assert states() == ["missed"]


def test_a_paused_topology_does_not_fire() -> None:
    created()
    store.pause("report", NOON, "ann")

    store.fire_due(NOON + MINUTE)

    assert states() == []


def test_an_unpaused_topology_makes_up_for_nothing() -> None:
    created()
    store.pause("report", NOON, "ann")
    store.unpause("report", NOON + timedelta(minutes=10, seconds=30), "ann")

    store.fire_due(NOON + timedelta(minutes=10, seconds=40))

    assert states() == []
    assert Topology.objects.get().next_run_at == NOON + timedelta(minutes=11)


def test_an_instant_fires_once_and_says_that_it_is_over() -> None:
    created(trigger=once(NOON + seconds(10)))

    for late_s in (9, 10, 11, 70):
        store.fire_due(NOON + seconds(late_s))

    assert states() == ["running"]
    assert Run.objects.get().kind == "once"
    topology = Topology.objects.get()
    assert topology.next_run_at is None
    assert "its last fire is over" in topology.reason


def test_a_graph_that_is_refused_fails_its_run_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    created("good")
    created("refused")
    submit = graphs.store.submit

    def refuse(document: dict[str, object], *args: object, **kwargs: object) -> object:
        if document["name"] == "refused":
            raise InvalidDocument([])
        return submit(document, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(graphs.store, "submit", refuse)

    store.fire_due(NOON + MINUTE)

    assert (states("good"), states("refused")) == (["running"], ["failed"])
    assert Event.objects.filter(name="run.failed", level="error").exists()


def test_a_trigger_that_became_unreadable_stops_itself_and_no_other() -> None:
    created("good")
    bad = created("bad")
    bad.spec["trigger"]["timezone"] = "Atlantis/Capital"
    bad.save()

    store.fire_due(NOON + MINUTE)

    bad.refresh_from_db()
    assert states("good") == ["running"]
    assert bad.next_run_at is None
    assert "cannot fire: there is no time zone 'Atlantis/Capital'" in bad.reason


def test_a_tick_with_nothing_to_do_asks_one_question(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(5):
        created(f"report-{number}")

    with django_assert_num_queries(1):
        store.fire_due(NOON)


def test_deciding_costs_the_same_number_of_queries_for_one_and_for_many(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(30):
        created(f"report-{number}")
    store.fire_due(NOON + MINUTE)

    with django_assert_max_num_queries(12):
        store.fire_due(NOON + 2 * MINUTE)

    assert Run.objects.filter(state="skipped").count() == 30
