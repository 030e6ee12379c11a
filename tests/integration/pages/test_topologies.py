"""What the operator reads of topologies and their runs."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from scheduler_project.toolkit.access import Role
from tests.integration.pages.conftest import NOW, LogIn
from topologies.models import Run, Topology


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def failed(topology: Topology) -> Run:
    """A run that failed after four seconds."""
    return Run.objects.create(
        id="r1",
        topology=topology,
        topology_version=1,
        kind="cron",
        scheduled_at=NOW,
        state="failed",
        reason="crunch: exit code 3",
        graph_id="b1",
        created_at=NOW,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=4.2),
    )


@pytest.mark.django_db
def test_without_topologies_the_page_says_how_to_make_one(viewer: Client) -> None:
    assert "manage.py apply examples/topology.yml" in text_of(viewer, "/topologies/")


def test_topologies_are_listed_with_their_last_run(viewer: Client, failed: Run) -> None:
    page = text_of(viewer, "/topologies/")

    assert 'href="/topologies/heartbeat"' in page
    assert "0 * * * * ?" in page
    assert '<span class="state" data-state="failed">' in page


def test_home_tells_what_fires_next(viewer: Client, topology: Topology) -> None:
    assert 'href="/topologies/heartbeat"' in text_of(viewer, "/")


def test_home_does_not_tell_of_paused_topologies(viewer: Client, topology: Topology) -> None:
    Topology.objects.update(state="paused")

    assert "Nothing is to fire" in text_of(viewer, "/")


def test_a_topology_tells_its_next_five_fires(log_in: LogIn, topology: Topology) -> None:
    with time_machine.travel(NOW, tick=False):
        page = text_of(log_in(Role.VIEWER), "/topologies/heartbeat")

    fires = [f"<span>2030-01-02 03:{minute:02}:00 UTC</span>" for minute in range(5, 11)]
    assert [fire in page for fire in fires] == [True] * 5 + [False]


def test_a_paused_topology_has_no_next_fires(viewer: Client, topology: Topology) -> None:
    Topology.objects.update(state="paused")

    assert "It is paused" in text_of(viewer, "/topologies/heartbeat")


def test_a_topology_tells_its_runs_with_reason_duration_and_graph(viewer: Client, failed: Run) -> None:
    page = text_of(viewer, "/topologies/heartbeat")

    assert "crunch: exit code 3" in page
    assert "4.2 s" in page
    assert 'href="/graphs/b1"' in page


def test_only_operators_are_offered_to_run_and_pause(viewer: Client, operator: Client, topology: Topology) -> None:
    for address in ("/api/v1/topologies/heartbeat/run", "/api/v1/topologies/heartbeat/pause"):
        assert address not in text_of(viewer, "/topologies/heartbeat")
        assert address in text_of(operator, "/topologies/heartbeat")


def test_a_deleted_topology_has_no_page(viewer: Client, topology: Topology) -> None:
    Topology.objects.update(state="deleted")

    assert viewer.get("/topologies/heartbeat").status_code == 404


def test_a_run_leads_to_its_graph(viewer: Client, failed: Run) -> None:
    assert viewer.get("/runs/r1").headers["Location"] == "/graphs/b1"


def test_a_run_without_a_graph_leads_to_its_topology(viewer: Client, failed: Run) -> None:
    Run.objects.update(graph_id="", state="missed")

    assert viewer.get("/runs/r1").headers["Location"] == "/topologies/heartbeat"
