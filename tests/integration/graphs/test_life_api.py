"""The HTTP API of a graph's life."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from graphs import store
from graphs.models import Circuit, Component
from tests.integration.graphs.mappings import mapping
from tests.integration.graphs.test_bridge_on_loopback import NOW, Nats
from tests.support.clients import client_of

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/graphs/b1"
A = f"{ROOT}/components/vpc::a"


@pytest.fixture
def ann() -> Client:
    return client_of("operator")


@pytest.fixture
def nats() -> Nats:
    nats = Nats()
    store.submit(mapping({"vpc::a": [], "net::a": ["vpc::a"]}), NOW, source="http")
    nats.work()
    return nats


def post(client: Client, address: str, body: Any = None) -> Any:
    return client.post(address, body or {}, content_type="application/json")


def test_pausing_twice_is_pausing_once_and_an_ended_graph_is_a_conflict_that_names_its_state(
    ann: Client, nats: Nats
) -> None:
    first, second = post(ann, f"{ROOT}/pause"), post(ann, f"{ROOT}/pause")
    assert first.json()["paused_at"] == second.json()["paused_at"] is not None
    assert post(ann, f"{ROOT}/unpause").json()["paused_at"] is None
    post(ann, f"{ROOT}/cancel?tell=false")
    assert post(ann, f"{ROOT}/cancel").json()["state"] == "cancelled"
    refused = post(ann, f"{ROOT}/pause")
    assert refused.status_code == 409
    assert "already cancelled" in refused.json()["detail"]


@pytest.mark.parametrize(("query", "subjects"), [("?tell=true", ["vpc.create.demo.cancel"]), ("", [])])
def test_a_cancel_tells_connectors_where_the_call_says_so(
    ann: Client, nats: Nats, query: str, subjects: list[str]
) -> None:
    post(ann, f"{ROOT}/cancel{query}")
    nats.now = timezone.now()
    nats.work()
    assert nats.server.subjects("*.*.*.cancel") == subjects


def test_a_resume_is_shown_before_it_is_made(ann: Client, nats: Nats) -> None:
    nats.reply("vpc.create.demo.error", "vpc::a", "errored", error="boom")
    shown = post(ann, f"{ROOT}/resume?preview=1").json()
    assert shown == {
        "resets": [{"component_id": "vpc::a", "before": "errored", "state": "waiting", "reason": "resumed"}],
        "refused": "",
    }
    assert post(ann, f"{ROOT}/resume").json()["run"] == 2
    assert post(ann, f"{ROOT}/resume").status_code == 409


def test_a_retry_is_shown_before_it_is_made(ann: Client, nats: Nats) -> None:
    assert "in flight" in post(ann, f"{A}/retry?preview=1").json()["refused"]
    assert post(ann, f"{A}/retry").status_code == 409
    nats.reply("vpc.create.demo.done", "vpc::a")
    nats.reply("net.create.demo.done", "net::a")
    assert [one["component_id"] for one in post(ann, f"{A}/retry?preview=1").json()["resets"]] == ["vpc::a", "net::a"]
    assert post(ann, f"{A}/retry").json()["state"] == "running"


@pytest.mark.parametrize(("verb", "state"), [("skip", "skipped"), ("complete", "completed"), ("fail", "errored")])
def test_a_component_gets_its_state_by_hand(ann: Client, nats: Nats, verb: str, state: str) -> None:
    told = post(ann, f"{A}/{verb}", {"reason": "seen to"}).json()
    assert (told["state"], told["decided_by"]) == (state, "operator")
    assert "seen to" in told["reason"]
    assert post(ann, f"{A}/{verb}").status_code == 200


def test_a_component_is_told_with_its_attempts_and_its_secrets_masked(ann: Client, nats: Nats) -> None:
    nats.reply("vpc.create.demo.error", "vpc::a", "errored", error="boom", password="p")
    told = ann.get(A).json()
    assert told["document"]["password"] == "••••••"
    assert told["needed_by"] == ["net::a"]
    [attempt] = told["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["reason"]) == (1, "errored", "boom")
    assert '"password": "p"' not in attempt["reply"]


def test_the_attempt_that_runs_is_one_of_the_attempts(ann: Client, nats: Nats) -> None:
    [attempt] = ann.get(A).json()["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["ended_at"]) == (1, "running", None)


def test_why_names_the_nearest_and_the_root(ann: Client, nats: Nats) -> None:
    told = ann.get(f"{ROOT}/components/net::a/why").json()
    assert told["summary"] == "it waits for vpc::a (running)"
    assert [one["component_id"] for one in told["roots"]] == ["vpc::a"]
    assert ann.get(f"{A}/why").json()["summary"] == "its provider has not answered yet"


def test_why_names_what_holds_up_what_is_ready(ann: Client) -> None:
    store.submit(mapping({"vpc::a": []}), NOW, source="http")
    assert ann.get(f"{A}/why").json()["summary"] == "it is ready, and is started at once"
    Circuit.objects.create(provider="demo", failures=5, failed_at=NOW, retry_at=NOW, reason="no reply")
    assert "the provider demo is silent" in ann.get(f"{A}/why").json()["summary"]
    assert [one["provider"] for one in ann.get("/api/v1/graph-providers/silent").json()] == ["demo"]
    assert post(ann, "/api/v1/graph-providers/demo/reset").status_code == 204
    assert post(ann, "/api/v1/graph-providers/demo/reset").status_code == 404
    Component.objects.update(retry_at=NOW, attempt=1, reason="boom")
    assert "attempt 2 is made at 2026-01-02T03:04:05+00:00; before: boom" in ann.get(f"{A}/why").json()["summary"]


def test_a_provider_that_carries_out_as_many_as_it_may_says_so(ann: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphs.providers import provider

    monkeypatch.setattr(provider("nats"), "at_once", 1)
    nats = Nats()
    store.submit(mapping({"vpc::a": [], "vpc::b": []}), NOW, source="http")
    store.submit(mapping({"vpc::a": []}, "b2"), NOW, source="http")
    nats.work()
    assert len(nats.server.subjects("*.*.demo")) == 1
    assert (
        ann.get(f"{ROOT}/components/vpc::b/why").json()["summary"]
        == "the provider nats carries out 1 at once, and does"
    )
    nats.reply("vpc.create.demo.done", "vpc::a")
    nats.reply("vpc.create.demo.done", "vpc::b")
    assert len(nats.server.subjects("*.*.demo")) == 3


def test_a_viewer_looks_and_does_not_act(nats: Nats) -> None:
    viewer = client_of("viewer")
    assert viewer.get(A).status_code == 200
    assert viewer.get(f"{A}/why").status_code == 200
    assert post(viewer, f"{A}/retry?preview=1").status_code == 200
    for verb in ("pause", "unpause", "resume", "cancel"):
        assert post(viewer, f"{ROOT}/{verb}").status_code == 403
    for verb in ("retry", "skip", "complete", "fail", "approve", "reject"):
        assert post(viewer, f"{A}/{verb}").status_code == 403


def test_what_is_not_there_is_not_found(ann: Client, nats: Nats) -> None:
    assert post(ann, "/api/v1/graphs/none/pause").status_code == 404
    assert ann.get(f"{ROOT}/components/none").status_code == 404
    assert post(ann, f"{ROOT}/components/none/skip").status_code == 404
