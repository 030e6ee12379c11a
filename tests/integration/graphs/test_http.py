"""Components that are HTTP calls, against a real server on the loopback address."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from graphs import providers, store
from graphs.models import Component, Graph
from graphs.providers import calling
from graphs.providers.calling import make_call
from graphs.store.calling import settle_call, take_call
from scheduler_project.models import Event
from scheduler_project.toolkit.errors import InvalidDocument
from tests.support.processes import Processes
from tests.support.wait import wait_until
from workers.links.http import Request, fetch

pytestmark = pytest.mark.django_db(transaction=True)
Answer = Callable[[BaseHTTPRequestHandler, bytes], tuple[int, bytes]]


class FarEnd:
    """An HTTP server whose `answer` may be set; `heard` keeps (method, path, headers, body)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Answer = lambda _request, _body: (200, b'{"address": "10.0.0.1"}')
        far_end = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                far_end.heard.append((self.command, self.path, dict(self.headers), body))
                status, answer = far_end.answer(self, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = handle_one  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    server = FarEnd()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def allowed(far_end: FarEnd, settings: Any) -> Iterator[None]:
    """The far end may be called."""
    http = {"BACKEND": "graphs.providers.http.HttpProvider", "OPTIONS": {"hosts": [far_end.host], "body_max_bytes": 99}}
    settings.GRAPH_PROVIDERS = {**settings.GRAPH_PROVIDERS, "http": http}
    settings.PUBLIC_URL = "https://scheduler.example"
    providers.provider.cache_clear()
    yield
    providers.provider.cache_clear()


def submit(far_end: FarEnd, graph_id: str = "b1", **fields: Any) -> Component:
    """A graph of one call, claimed."""
    call = {"_component": "dns", "_component_id": "dns::a", "_action": "create", "_provider": "http"}
    document = {
        "id": graph_id,
        "changes": [{**call, "url": f"http://{far_end.host}/zones?x=1", "_action": "update", **fields}],
        "edges": [{"source": "start", "destination": "dns::a"}],
    }
    store.submit(document, timezone.now(), source="http")
    store.advance([graph_id], timezone.now())
    return Component.objects.changes().get(graph_id=graph_id)


def call(row: Component) -> Component:
    """The component after its call."""
    make_call(row.pk, row.attempt, timezone.now)
    row.refresh_from_db()
    return row


def test_a_call_completes_its_component_with_what_was_answered(far_end: FarEnd) -> None:
    row = call(submit(far_end, headers={"X-Zone": "a"}, body={"name": "shop"}))
    assert (row.state, row.document["address"], row.document["http_status"]) == ("completed", "10.0.0.1", 200)
    [(method, path, headers, body)] = far_end.heard
    assert (method, path, json.loads(body), headers["X-Zone"]) == ("POST", "/zones?x=1", {"name": "shop"}, "a")
    assert (headers["Scheduler-Component"], headers["Scheduler-Attempt"]) == ("dns::a", "1")
    assert Graph.objects.get().state == "completed"


def test_a_call_is_made_once_however_often_it_is_asked_for(far_end: FarEnd) -> None:
    row = submit(far_end)
    for _ in range(3):
        call(row)
    assert len(far_end.heard) == 1


def test_a_call_whose_worker_died_is_not_made_again_by_the_same_attempt(far_end: FarEnd) -> None:
    row = submit(far_end, timeout_s=1)
    assert take_call(row.pk, 1, 1, timezone.now())
    call(row)
    assert far_end.heard == []
    store.sweep(timezone.now() + timedelta(seconds=60))
    row.refresh_from_db()
    assert row.state == "errored"


def test_a_call_whose_message_was_lost_is_offered_again(far_end: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[Any] = []
    monkeypatch.setattr("graphs.providers.http.hint_many", lambda task, calls, queue: offered.extend(calls))
    row = submit(far_end)
    store.sweep(timezone.now() + timedelta(seconds=11))
    assert offered == [(row.pk, 1), (row.pk, 1)]
    assert call(row).state == "completed"


@pytest.mark.parametrize(
    ("fields", "answer", "reason"),
    [
        ({}, (500, b"out of order"), "HTTP 500: out of order"),
        ({}, (302, b""), "HTTP 302"),
        ({"expect": [201]}, (200, b""), "HTTP 200"),
        ({}, (200, b"x" * 100), "HTTP 200 with a body of more than 99 bytes"),
        ({"headers": {"A": "$secret(UNSET)"}}, (200, b""), "SCHEDULER_SECRET_UNSET is not set where the call is made"),
    ],
)
def test_a_call_that_fails_says_why(
    far_end: FarEnd, fields: dict[str, Any], answer: tuple[int, bytes], reason: str
) -> None:
    far_end.answer = lambda _request, _body: answer
    row = call(submit(far_end, **fields))
    assert (row.state, row.reason) == ("errored", reason)


def test_a_server_that_takes_too_long_fails_the_call_in_time(far_end: FarEnd) -> None:
    release = threading.Event()

    def hang(_request: Any, _body: bytes) -> tuple[int, bytes]:
        release.wait(10)
        return 200, b""

    far_end.answer = hang
    began = time.monotonic()
    row = call(submit(far_end, timeout_s=0.3))
    release.set()
    assert (row.state, row.reason) == ("errored", "127.0.0.1 did not answer: not within its time")
    assert time.monotonic() - began < 5


def test_a_body_that_trickles_does_not_outlast_the_time(far_end: FarEnd) -> None:
    def trickle(request: BaseHTTPRequestHandler, _body: bytes) -> tuple[int, bytes]:
        request.send_response(200)
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b"x")
            time.sleep(0.05)
        return 200, b""

    far_end.answer = trickle
    row = call(submit(far_end, timeout_s=0.3))
    assert row.state == "errored"


def test_nobody_who_listens_is_a_failure_with_its_reason(far_end: FarEnd, settings: Any) -> None:
    row = submit(far_end)
    far_end.server.server_close()
    assert "127.0.0.1 did not answer: Connection" in call(row).reason


def test_a_secret_is_in_the_request_and_nowhere_else(far_end: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULER_SECRET_KEY", "s3cr3t")
    row = call(submit(far_end, headers={"Authorization": "Bearer $secret(KEY)"}))
    assert far_end.heard[0][2]["Authorization"] == "Bearer s3cr3t"
    kept = [json.dumps(one.document) for one in Component.objects.all()]
    told = [one.message + json.dumps(one.data) for one in Event.objects.all()]
    assert row.state == "completed"
    assert not [text for text in (*kept, *told) if "s3cr3t" in text]


def test_a_host_that_is_not_allowed_is_refused_before_anything_runs(far_end: FarEnd) -> None:
    with pytest.raises(InvalidDocument, match="is not in SCHEDULER_HTTP_HOSTS"):
        submit(far_end, url="http://127.0.0.1/")
    with pytest.raises(InvalidDocument, match="SCHEDULER_HTTP_UNVERIFIED is not set"):
        submit(far_end, verify=False)


def test_a_callback_settles_what_was_only_accepted(far_end: FarEnd, client: Client) -> None:
    far_end.answer = lambda _request, _body: (202, b"")
    row = call(submit(far_end, callback=True))
    assert (row.state, row.deadline_at) == ("running", None)
    address = far_end.heard[0][2]["Scheduler-Callback"]
    assert address.startswith("https://scheduler.example/api/v1/graphs/callbacks/")

    path = address.removeprefix("https://scheduler.example")
    answer = client.post(path, {"address": "10.0.0.2"}, content_type="application/json")
    assert (answer.status_code, answer.json()) == (200, {"graph": "b1", "component": "dns::a", "state": "completed"})
    row.refresh_from_db()
    assert (row.state, row.document["address"]) == ("completed", "10.0.0.2")
    assert client.post(path, {}, content_type="application/json").status_code == 409


def test_a_callback_may_tell_of_a_failure(far_end: FarEnd, client: Client) -> None:
    far_end.answer = lambda _request, _body: (202, b"")
    row = call(submit(far_end, callback=True))
    path = far_end.heard[0][2]["Scheduler-Callback"].removeprefix("https://scheduler.example")
    client.post(path, {"_state": "errored", "error": "no room"}, content_type="application/json")
    row.refresh_from_db()
    assert (row.state, row.reason) == ("errored", "no room")


def test_a_forged_token_is_nobodys(client: Client) -> None:
    answer = client.post("/api/v1/graphs/callbacks/WzEsMV0:1:forged", {}, content_type="application/json")
    assert answer.status_code == 404


def test_what_was_answered_is_told_when_the_database_is_back(far_end: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "TELL_WAIT_S", 0.01)
    works, left = settle_call, [OperationalError("away"), OperationalError("away")]

    def settle(*arguments: Any) -> None:
        if left:
            raise left.pop()
        works(*arguments)

    monkeypatch.setattr(calling, "settle_call", settle)
    assert call(submit(far_end)).state == "completed"
    assert len(far_end.heard) == 1


def test_a_server_that_speaks_no_tls_is_not_talked_to_in_clear(far_end: FarEnd) -> None:
    from scheduler_project.toolkit.errors import Unavailable

    with pytest.raises(Unavailable, match="SSL"):
        fetch(Request("GET", f"https://{far_end.host}/", verify=False), 10)


@pytest.mark.once
@pytest.mark.timeout(90)
def test_a_worker_of_the_queue_http_carries_calls_out(
    far_end: FarEnd, database_url: str, valkey_server: Any, processes: Processes
) -> None:
    variables = {"DATABASE_URL": database_url, "SCHEDULER_HTTP_HOSTS": far_end.host}
    processes.worker("control", valkey_server.url, **variables)
    processes.worker("http", valkey_server.url, **variables)
    beat = ("beat", "-l", "INFO", "-s", str(processes.folder / "beat"))
    processes.celery(*beat, BROKER_URL=valkey_server.url, SECRET_KEY="x" * 50, **variables)
    calls = [
        {"_component": "dns", "_component_id": f"dns::{n}", "_action": "update", "_provider": "http"}
        | {"url": f"http://{far_end.host}/{n}"}
        for n in range(20)
    ]
    edges = [{"source": "start", "destination": one["_component_id"]} for one in calls]
    store.submit({"id": "b1", "changes": calls, "edges": edges}, timezone.now(), source="http")
    wait_until(lambda: Graph.objects.get().state == "completed", 60, what="the graph's end")
    assert sorted(path for _, path, _, _ in far_end.heard) == sorted(f"/{n}" for n in range(20))
