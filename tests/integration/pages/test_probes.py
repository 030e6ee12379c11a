"""What machines ask: is the process there, is the system ready, which numbers."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django import Settings

from graphs.models import Graph
from scheduler_project import readiness
from scheduler_project.celery import app
from scheduler_project.models import Lease
from scheduler_project.tasks import PULSE_LASTS_S, count, pulse
from scheduler_project.toolkit.events import NewEvent, record
from tests.integration.pages.conftest import NOW
from workers.models import Worker

pytestmark = pytest.mark.django_db


def failing() -> set[str]:
    """The names of the checks that do not hold."""
    return {one["name"] for one in Client().get("/readyz").json()["checks"] if not one["ok"]}


def test_the_process_answers_without_a_login() -> None:
    assert Client().get("/healthz").content == b"ok\n"


def test_ready_when_every_part_answers(settings: Settings, worker: Worker) -> None:
    settings.EXPECTED_HOSTS = ["host-a"]
    pulse()

    answer = Client().get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["ready"] is True


def test_not_ready_without_a_pulse_of_the_control_workers() -> None:
    answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert failing() == {"control"}


def test_a_pulse_counts_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse()
    later = timezone.now() + timedelta(seconds=PULSE_LASTS_S + 1)

    assert readiness.check_control(timezone.now()).ok
    assert not readiness.check_control(later).ok


def test_not_ready_while_an_expected_host_is_missing(settings: Settings, worker: Worker) -> None:
    settings.EXPECTED_HOSTS = ["host-a", "host-b"]

    check = readiness.check_hosts(NOW)

    assert (check.ok, check.detail) == (False, "not connected: host-b")


def test_not_ready_while_migrations_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: [("a", False)])

    assert "manage.py migrate" in readiness.check_database(NOW).detail


def test_not_ready_while_the_broker_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(app, "connection_for_write", refuse)

    assert readiness.check_broker(NOW) == readiness.Check("broker", False, "cannot be reached: connection refused")


def test_a_database_that_is_away_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise DatabaseError("the server went away")

    monkeypatch.setattr(readiness, "MigrationExecutor", away)
    monkeypatch.setattr(Lease.objects, "filter", away)
    monkeypatch.setattr(Worker.objects, "connected", away)

    assert failing() >= {"database", "control", "hosts"}


def test_only_viewers_are_told_what_is_wrong(viewer: Client) -> None:
    assert "detail" not in Client().get("/readyz").json()["checks"][0]
    assert "detail" in viewer.get("/readyz").json()["checks"][0]


def test_metrics_count_by_state(viewer: Client, graph: Graph, worker: Worker) -> None:
    record([NewEvent("graph.submitted", "graph:b1")], NOW)
    count()

    text = viewer.get("/metrics").content.decode()

    assert 'scheduler_graphs{state="running"} 1.0' in text
    assert 'scheduler_workers{state="connected"} 1.0' in text
    assert "scheduler_events_total" in text


@pytest.mark.parametrize(
    ("status", "ok", "detail"),
    [
        ({"at": 0, "ready": True, "stage": "ready", "processes": {"web": {"up": True}}}, True, ""),
        ({"at": 0, "ready": False, "stage": "hosts", "processes": {}}, False, "at: hosts"),
        ({"at": 0, "ready": True, "stage": "ready", "processes": {"web": {"up": False}}}, False, "down: web"),
        ({"at": -3600, "ready": True, "stage": "ready", "processes": {}}, False, "does not watch"),
        (None, False, "cannot be read"),
    ],
    ids=["ready", "starting", "a process is down", "left alone", "no status"],
)
def test_a_system_run_by_up_is_ready_when_up_says_so(
    settings: Settings, tmp_path: Path, status: dict[str, Any] | None, ok: bool, detail: str
) -> None:
    settings.UP_STATUS_FILE = str(tmp_path / "up.json")
    if status is not None:
        told = status | {"at": NOW.timestamp() + status["at"]}
        (tmp_path / "up.json").write_text(json.dumps(told))

    check = readiness.check_up(NOW)

    assert check.ok == ok
    assert detail in check.detail
