"""Five thousand bad mappings over HTTP, NATS and schedctl: each is answered, and none is stored in part.

Whatever comes, a graph is there with all its components and edges, or nothing of it is.
"""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from click.testing import CliRunner
from django.contrib.auth.models import Group, User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphs.bridge.loop import GROUP, REPLY_SUBJECTS, STREAM, Bridge, make_bridge
from graphs.core.document import parse
from graphs.core.values import parse_json
from graphs.core.words import START_SUBJECTS
from graphs.models import Component, Edge, Graph
from graphs.testing import LoopbackLink, LoopbackServer
from schedctl.main import cli
from scheduler_project.asgi import django_application
from scheduler_project.models import ApiToken
from scheduler_project.toolkit import access
from tests.support.bad_mappings import HUGE, as_text, bad_bodies, odd_values
from tests.support.nats import stream_messages
from tests.support.processes import ROOT, clean_environment
from tests.support.wait import wait_until
from workers.links.backlog import Message
from workers.links.nats import NatsLink
from workers.models import Command

OVER_HTTP = 1200
OVER_NATS = 1000
OVER_REAL_NATS = 80
AT_ONCE = 20
BY_SCHEDCTL = 2700
BY_A_PROCESS = 20
ANSWERS = {200, 201, 409, 422}
PATHS = ("", "/plan", "/diff")
VERBS = ("submit", "plan", "diff")
pytestmark = pytest.mark.filterwarnings("default:Generating overly large repr")
"""What fails is told, however large the examples are."""
MIXED: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
}


def test_the_examples_of_all_ways_are_five_thousand() -> None:
    assert OVER_HTTP + OVER_NATS + OVER_REAL_NATS + BY_SCHEDCTL + BY_A_PROCESS == 5000


def assert_whole_or_nothing(body: bytes, **given: str) -> None:
    """What of the graph in `body`, with what was `given` besides, is stored is all of it; removes it."""
    graph = Graph.objects.first()
    if graph is None:
        assert not Component.objects.exists()
        assert not Edge.objects.exists()
        return
    spec = parse(parse_json(body) | given, graph.pk)
    assert Graph.objects.count() == 1
    assert Edge.objects.count() == len(spec.edges)
    assert Component.objects.changes().count() == len(spec.changes)
    assert {change.component_id for change in spec.changes} == set(
        Component.objects.changes().values_list("component_id", flat=True)
    )
    forget()


def forget() -> None:
    Command.objects.all().delete()
    Graph.objects.all().delete()


@pytest.fixture
def token(db: None) -> str:
    """A token of an operator."""
    user = User.objects.create_user("operator")
    user.groups.add(Group.objects.get_or_create(name="operator")[0])
    made = access.new_token()
    ApiToken.objects.create(name="tests", user=user, digest=access.digest(made), created_at=timezone.now())
    return made


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests leave the connection of the test open."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


async def ask(path: str, token: str, body: bytes) -> tuple[int, bytes]:
    """One POST to the ASGI application: the status and the body of its answer."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"/api/v1/graphs{path}",
        "raw_path": b"",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"testserver"),
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    incoming: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop()
        return await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await django_application(scope, receive, send)
    return sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:])


def post(path: str, token: str, body: bytes) -> int:
    """The status of the answer, which is JSON whatever was asked."""
    status, answer = async_to_sync(ask)(path, token, body)
    told = json.loads(answer)
    if status == 422:
        assert told["errors"]
    return status


@pytest.mark.django_db
@settings(max_examples=OVER_HTTP, **MIXED)
@given(body=bad_bodies, path=st.sampled_from(PATHS))
def test_over_http_each_is_accepted_or_refused(one_connection: None, token: str, body: bytes, path: str) -> None:
    if path == "/diff":
        body = b'{"wanted": ' + body + b"}"
    assert post(path, token, body) in ANSWERS
    assert_whole_or_nothing(body)


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", HUGE)
def test_huge_ones_over_http(one_connection: None, token: str, name: str, path: str) -> None:
    body = HUGE[name] if path != "/diff" else b'{"wanted": ' + HUGE[name] + b"}"
    assert post(path, token, body) in ANSWERS
    assert_whole_or_nothing(body)


@pytest.fixture
def nats() -> "InMemory":
    return InMemory()


class InMemory:
    """NATS in memory with a bridge, worked by hand."""

    def __init__(self) -> None:
        self.server = LoopbackServer()
        link = LoopbackLink(self.server, (*START_SUBJECTS, *REPLY_SUBJECTS), GROUP)
        link.start()
        self.bridge = Bridge(link)
        self.link = link

    def start(self, body: bytes) -> list[Any]:
        """Gives the bridge a start message. Returns the answers to it."""
        self.bridge.handle([Message("build.create", body, "_INBOX.1")])
        return self.server.bodies("_INBOX.1")


@pytest.mark.django_db
@settings(max_examples=OVER_NATS, **MIXED)
@given(body=bad_bodies, reply=odd_values.map(as_text), component_id=st.sampled_from(["vpc::a", "network::a", "x"]))
def test_over_nats_each_is_answered_and_so_are_bad_replies(body: bytes, reply: bytes, component_id: str) -> None:
    nats = InMemory()
    [answer] = nats.start(body)
    stored = Graph.objects.first()
    assert ("state" in answer) is (stored is not None)
    if stored is None:
        assert answer["error"]
        assert nats.server.bodies("build.create.error") == [answer]
        assert_whole_or_nothing(b"")
        return
    identity = {"_component_id": component_id, "service": stored.pk, "_state": "completed"}
    nats.bridge.handle(
        [
            Message("vpc.create.demo.done", reply),
            Message("vpc.create.demo.done", as_text({**identity, "vpc_aws_id": "v", "more": reply.decode()})),
            Message("vpc.create.demo.done", as_text(identity)),
        ]
    )
    forget()


@pytest.mark.django_db
@pytest.mark.parametrize("name", HUGE)
def test_huge_ones_over_nats(nats: InMemory, name: str) -> None:
    [answer] = nats.start(HUGE[name])
    assert len(json.dumps(answer)) < 200_000
    assert_whole_or_nothing(HUGE[name], action="build.create")


@pytest.fixture
def waiting_for_answers(nats_server: Any, settings: Any, transactional_db: None) -> Iterator[NatsLink]:
    """A bridge at work on a real server, and somebody who starts builds and awaits the answers."""
    settings.NATS_URI = nats_server.url
    bridge = make_bridge()
    bridge.start()
    link = NatsLink(nats_server.url, ["inbox.*"], uuid.uuid4().hex, "starter")
    link.start()
    link.wait_connected(10)
    wait_until(lambda: bridge.connected, what="the bridge's connection")
    yield link
    link.stop()
    bridge.stop()


@pytest.mark.django_db(transaction=True)
@settings(max_examples=OVER_REAL_NATS // AT_ONCE, **MIXED)
@given(bodies=st.lists(bad_bodies, min_size=AT_ONCE, max_size=AT_ONCE))
def test_over_a_real_server_each_is_answered(
    waiting_for_answers: NatsLink, nats_server: Any, bodies: list[bytes]
) -> None:
    waiting_for_answers.publish([Message("build.sync", body, "inbox.1") for body in bodies])
    answers: list[Message] = []

    def all_came() -> bool:
        answers.extend(waiting_for_answers.take(AT_ONCE, 0.1))
        return len(answers) == AT_ONCE

    wait_until(all_came, 30, what="an answer to each")
    accepted = [json.loads(answer.data)["id"] for answer in answers if b'"state"' in answer.data]
    named = {one for one in accepted if one}
    wait_until(lambda: stream_messages(nats_server.url, STREAM) == 0, 40, what="the stream's copy of each")
    wait_until(lambda: Graph.objects.count() == len(named) + accepted.count(None), 40, what="what was accepted")
    assert named <= set(Graph.objects.values_list("pk", flat=True))
    forget()


@pytest.fixture
def as_operator(live_server: Any, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """schedctl speaks to the live server; the same as an environment for a process of its own."""
    variables = {"SCHEDCTL_SERVER": live_server.url, "SCHEDCTL_TOKEN": token, "HOME": str(tmp_path)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return clean_environment(**variables)


def assert_told(verb: str, exit_code: int, complaint: str) -> None:
    """schedctl succeeded, or said why not and nothing is stored."""
    assert exit_code in (0, 1, 5)
    assert exit_code == 0 or complaint.startswith("schedctl: ")
    assert "Traceback" not in complaint
    assert Graph.objects.exists() is (verb == "submit" and exit_code == 0)
    forget()


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
@settings(max_examples=BY_SCHEDCTL, **MIXED)
@given(body=bad_bodies, verb=st.sampled_from(VERBS))
def test_by_schedctl_each_ends_with_a_reason_and_an_exit_code(
    as_operator: dict[str, str], body: bytes, verb: str
) -> None:
    result = CliRunner().invoke(cli, ["graphs", verb, "-"], input=body, prog_name="schedctl")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert_told(verb, result.exit_code, result.stderr)


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
@settings(max_examples=BY_A_PROCESS, **MIXED)
@given(body=bad_bodies, verb=st.sampled_from(VERBS))
def test_by_a_process_of_schedctl_too(as_operator: dict[str, str], body: bytes, verb: str) -> None:
    argv = [sys.executable, "-m", "schedctl", "graphs", verb, "-"]
    ended = subprocess.run(argv, input=body, env=as_operator, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert_told(verb, ended.returncode, ended.stderr.decode())
