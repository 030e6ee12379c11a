"""Components that are Celery tasks, with real workers on real brokers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError

from graphs import providers, store, tasks
from graphs.models import Component, Graph
from scheduler_project.toolkit.errors import InvalidDocument
from tests.support.processes import Process, Processes
from tests.support.wait import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture
def allowed(settings: Any) -> Any:
    """The examples' tasks may be run."""
    celery = {"BACKEND": "graphs.providers.celery.CeleryProvider", "OPTIONS": {"tasks": ["examples.*"]}}
    settings.GRAPH_PROVIDERS = {**settings.GRAPH_PROVIDERS, "celery": celery}
    providers.provider.cache_clear()
    yield
    providers.provider.cache_clear()


def task(component_id: str, name: str = "examples.add", **fields: Any) -> dict[str, Any]:
    kind = {"_component": "sum", "_component_id": component_id, "_action": "update", "_provider": "celery"}
    return {**kind, "task": name, "args": [1, 2]} | fields


def submit(graph_id: str, changes: Sequence[Mapping[str, Any]], after: Mapping[str, str] | None = None) -> None:
    sources = after or {}
    edges = [
        {"source": sources.get(one["_component_id"], "start"), "destination": one["_component_id"]} for one in changes
    ]
    store.submit({"id": graph_id, "changes": list(changes), "edges": edges}, timezone.now(), source="http")


def states(graph_id: str) -> dict[str, str]:
    return dict(Component.objects.changes().filter(graph_id=graph_id).values_list("component_id", "state"))


def ended(graph_id: str) -> bool:
    return Graph.objects.filter(pk=graph_id, ended_at__isnull=False).exists()


def start_system(processes: Processes, broker_url: str, **variables: str) -> Process:
    """Control, the clock and one worker for tasks, which is returned."""
    variables |= {"SCHEDULER_CELERY_TASKS": "examples.*", "SCHEDULER_CELERY_IMPORTS": "examples.celery_tasks"}
    variables |= {"SCHEDULER_GRAPH_RESEND_S": "3"}
    processes.worker("control", broker_url, **variables)
    beat = ("beat", "-l", "INFO", "-s", str(processes.folder / "beat"))
    processes.celery(*beat, BROKER_URL=broker_url, SECRET_KEY="x" * 50, **variables)
    arguments = ("worker", "-Q", "celery", "-P", "processes", "-c", "2", "-l", "INFO")
    worker = processes.celery(*arguments, BROKER_URL=broker_url, SECRET_KEY="x" * 50, **variables)
    worker.wait_for_line(" ready.")
    return worker


@pytest.mark.once
@pytest.mark.parametrize(("broker", "with_results"), [("valkey", True), ("rabbitmq", True), ("rabbitmq", False)])
def test_tasks_are_carried_out_and_each_settles_its_own_component(
    broker: str,
    with_results: bool,
    request: pytest.FixtureRequest,
    processes: Processes,
    database_url: str,
    allowed: Any,
) -> None:
    broker_url = request.getfixturevalue(f"{broker}_server").url
    results = {"SCHEDULER_RESULT_BACKEND": request.getfixturevalue("valkey_server").url} if with_results else {}
    worker = start_system(processes, broker_url, DATABASE_URL=database_url, **results)

    slow = task("sum::slow", args=[1, 1, 5])
    many = [task(f"sum::{number}") for number in range(120)]
    submit("b1", [*many, slow, task("sum::after")], {"sum::after": "sum::7"})
    wait_until(lambda: states("b1")["sum::after"] == "completed", 60, what="what hangs from a quick one")
    assert states("b1")["sum::slow"] != "completed"
    wait_until(lambda: ended("b1"), 60, what="the end")
    assert Graph.objects.get(pk="b1").state == "completed"
    assert Component.objects.changes().get(component_id="sum::7").document["sum"] == 3
    assert Component.objects.changes().filter(attempt__gt=1).count() == 0

    submit("b2", [task("sum::bad", "examples.fail", args=["no room"])])
    wait_until(lambda: ended("b2"), 30, what="the failure")
    assert Component.objects.changes().get(graph_id="b2").reason == "ValueError: no room"

    submit("b3", [task("sum::long", args=[1, 1, 60], time_limit_s=1)])
    wait_until(lambda: ended("b3"), 30, what="the time limit")
    assert "TimeLimitExceeded" in Component.objects.changes().get(graph_id="b3").reason

    if with_results:
        submit("b4", [task("sum::long", args=[1, 1, 60])])
        wait_until(lambda: worker.output.count("examples.add[") >= 123, 30, what="the long task's start")
        store.cancel("b4", timezone.now(), "ada")
        wait_until(lambda: ended("b4"), 30, what="the end of what was cancelled")
        assert states("b4") == {"sum::long": "cancelled"}


def test_a_broker_that_forgets_everything_in_mid_run_loses_nothing(
    valkey_server: Any, processes: Processes, database_url: str, allowed: Any
) -> None:
    start_system(processes, valkey_server.url, DATABASE_URL=database_url)
    tasks = [task(f"sum::{number}", args=[1, 2, 0.2], _attempts=9, _timeout_s=4) for number in range(30)]
    submit("b1", tasks)
    wait_until(lambda: "completed" in states("b1").values(), 30, what="the first end")
    valkey_server.flush()
    assert "running" in states("b1").values()
    wait_until(lambda: ended("b1"), 60, what="the end")
    assert Graph.objects.get(pk="b1").state == "completed"


def claimed(graph_id: str = "b1", **fields: Any) -> Component:
    """The one component of a graph, sent to a broker in memory."""
    submit(graph_id, [task("sum::a", **fields)])
    store.advance([graph_id], timezone.now())
    return Component.objects.changes().get(graph_id=graph_id)


def test_a_task_that_is_not_allowed_is_refused_before_anything_runs(settings: Any) -> None:
    with pytest.raises(InvalidDocument, match="SCHEDULER_CELERY_TASKS"):
        submit("b1", [task("sum::a")])


def test_an_end_that_is_told_twice_or_late_changes_nothing(allowed: Any) -> None:
    row = claimed()
    for result in ({"sum": 3}, {"sum": 4}):
        tasks.celery_done(result, row.handle)
    tasks.settle_celery([{"sum": 5}], [row.handle])
    row.refresh_from_db()
    assert (row.state, row.document["sum"]) == ("completed", 3)


def test_the_body_of_a_chord_settles_what_was_not_told(allowed: Any) -> None:
    row = claimed()
    tasks.settle_celery([{"sum": 5}], [row.handle])
    row.refresh_from_db()
    assert (row.state, row.document["sum"]) == ("completed", 5)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What a result backend knows, by task."""
    metas: dict[str, dict[str, Any]] = {}

    class Backend:
        def get_task_meta(self, handle: str) -> dict[str, Any]:
            return metas.get(handle, {"status": "PENDING", "result": None})

    monkeypatch.setattr("graphs.store.delegated.current_app", SimpleNamespace(backend=Backend()))
    monkeypatch.setattr("graphs.providers.celery.has_results", lambda: True)
    monkeypatch.setattr("graphs.providers.celery._publish", lambda tasks: None)
    return metas


@pytest.mark.parametrize(
    ("meta", "state", "reason"),
    [
        ({"status": "SUCCESS", "result": {"sum": 3}}, "completed", ""),
        ({"status": "FAILURE", "result": ValueError("no")}, "errored", "ValueError: no"),
        ({"status": "REVOKED", "result": None}, "errored", "its task was revoked"),
        ({"status": "STARTED", "result": None}, "running", ""),
    ],
)
def test_the_sweep_finds_ends_that_were_told_to_nobody(
    known: dict[str, Any], allowed: Any, meta: dict[str, Any], state: str, reason: str
) -> None:
    row = claimed()
    known[row.handle] = meta
    store.sweep(timezone.now())
    row.refresh_from_db()
    assert (row.state, row.reason) == (state, reason)


@pytest.mark.parametrize(
    "tell", [lambda handle: tasks.celery_failed(handle), lambda handle: tasks.celery_chord_failed(handle, [handle])]
)
def test_a_failure_without_its_reason_is_looked_up(
    known: dict[str, Any], allowed: Any, tell: Callable[[str], None]
) -> None:
    row = claimed()
    known[row.handle] = {"status": "FAILURE", "result": KeyError("room")}
    tell(row.handle)
    row.refresh_from_db()
    assert (row.state, row.reason) == ("errored", "KeyError: 'room'")


def test_a_task_whose_end_is_never_told_fails_at_its_deadline(known: dict[str, Any], allowed: Any) -> None:
    row = claimed(_timeout_s=5)
    store.sweep(timezone.now() + timedelta(seconds=6))
    row.refresh_from_db()
    assert row.state == "errored"


def test_what_the_broker_did_not_take_is_sent_again(allowed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_tasks: Any) -> None:
        raise OperationalError("no broker")

    with monkeypatch.context() as patch:
        patch.setattr("graphs.providers.celery._publish", away)
        row = claimed()
    assert (row.state, row.sent_at) == ("running", None)
    store.sweep(timezone.now() + timedelta(seconds=11))
    store.sweep(timezone.now() + timedelta(seconds=11))
    row.refresh_from_db()
    assert (row.state, row.attempt) == ("running", 2)
    assert row.sent_at is not None


def test_results_that_cannot_be_asked_for_are_asked_for_later(
    known: dict[str, Any], allowed: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_handle: str) -> None:
        raise OperationalError("away")

    row = claimed()
    monkeypatch.setattr("graphs.store.delegated.current_app.backend.get_task_meta", away)
    store.sweep(timezone.now())
    row.refresh_from_db()
    assert row.state == "running"
    assert "celery.results_away" in caplog.text


def test_without_a_result_backend_the_check_says_what_is_missing(allowed: Any) -> None:
    [message] = providers.provider("celery").check()
    assert message.id == "graphs.W001"
    assert current_app.conf.result_backend is None
