"""Trust on the control side: who enrols, whose messages count, what is counted, and what revoking does."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from scheduler_project.metrics import metrics_text
from scheduler_project.toolkit.errors import Conflict, NotFound
from tests.support.trust import enrolled, sealed, worker_key
from workers import keys, store
from workers.core.enrolment import TokenText, proof
from workers.core.envelope import CONTROL, REASONS, Route, seal
from workers.models import Enrolment, JoinToken, RefusedMessages, SpentNonce, Worker
from workers.protocol import (
    ENROL_TASK,
    HEARTBEAT_TASK,
    REPORTS_TASK,
    Enrol,
    Enrolled,
    Heartbeat,
    Rejected,
    Reports,
    encode,
)
from workers.testing import FakeAgents

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def request_text(
    token: TokenText,
    host: str = "host-a",
    key: Ed25519PrivateKey | None = None,
    signer: Ed25519PrivateKey | None = None,
) -> str:
    """An agent's request to be enrolled."""
    key = key or worker_key(host)
    public = key.public_key().public_bytes_raw()
    request = Enrol(host=host, worker_id="w1", public_key=public, token=token.id, request="r1")
    proven = Enrol(
        host=host, worker_id="w1", public_key=public, token=token.id, request="r1", proof=proof(token.secret, request)
    )
    route = Route(host, CONTROL, ENROL_TASK)
    return seal(encode(proven), route, signer or key, NOW.timestamp(), 60, uuid.uuid4().hex)


def token(host: str = "", uses: int = 1) -> TokenText:
    return store.make_token(host, HOUR, uses, NOW, "tests")[1]


def enrol(text: str, agents: FakeAgents, capture: Any, now: datetime = NOW) -> Any:
    """Control's answer; None where it gives none."""
    agents.told.clear()
    with capture(execute=True):
        store.enrol(text, now)
    return agents.told[-1][1] if agents.told else None


def beat(host: str = "host-a", worker_id: str = "w1") -> str:
    return encode(
        Heartbeat(host=host, worker_id=worker_id, session="s", started_at=1, sent_at=1, version="1", address="here")
    )


def refused() -> dict[str, int]:
    return dict(RefusedMessages.objects.values_list("reason", "count"))


def test_a_token_enrols_one_agent_once(agents: FakeAgents, django_capture_on_commit_callbacks: Any) -> None:
    one = token()

    assert enrol(request_text(one), agents, django_capture_on_commit_callbacks) == Enrolled(request="r1")
    again = enrol(request_text(one), agents, django_capture_on_commit_callbacks)
    other = enrol(request_text(one, "host-b"), agents, django_capture_on_commit_callbacks)

    assert again == Enrolled(request="r1")
    assert isinstance(other, Rejected)
    assert list(Enrolment.objects.values_list("host", flat=True)) == ["host-a"]
    assert refused() == {"not_enrolled": 1}


@pytest.mark.parametrize(
    ("made_for", "now", "told"),
    [("host-b", NOW, "is for host-b"), ("", after(3601), "has expired")],
)
def test_a_token_that_does_not_fit_is_refused_with_what_to_do(
    agents: FakeAgents, django_capture_on_commit_callbacks: Any, made_for: str, now: datetime, told: str
) -> None:
    one = token(made_for)
    public = worker_key("host-a").public_key().public_bytes_raw()
    request = Enrol(host="host-a", worker_id="w1", public_key=public, token=one.id, request="r1")
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    body = encode(Enrol(**{**fields, "proof": proof(one.secret, request)}))
    route = Route("host-a", CONTROL, ENROL_TASK)

    answer = enrol(
        seal(body, route, worker_key("host-a"), now.timestamp(), 60, "n"),
        agents,
        django_capture_on_commit_callbacks,
        now,
    )

    assert isinstance(answer, Rejected)
    assert told in answer.reason


def test_who_has_not_the_token_or_not_the_key_gets_no_answer(
    agents: FakeAgents, django_capture_on_commit_callbacks: Any
) -> None:
    one = token()
    guessed = TokenText(one.id, b"0" * 32, one.control_key)

    assert enrol(request_text(guessed), agents, django_capture_on_commit_callbacks) is None
    foreign = request_text(one, signer=worker_key("host-x"))
    assert enrol(foreign, agents, django_capture_on_commit_callbacks) is None
    assert refused() == {"forged": 2}
    assert not Enrolment.objects.exists()


def test_a_name_passes_to_another_key_only_by_a_token_made_for_it(
    agents: FakeAgents, django_capture_on_commit_callbacks: Any
) -> None:
    enrolled("host-a", "w1")
    other = worker_key("another machine")

    open_one = enrol(request_text(token(), key=other), agents, django_capture_on_commit_callbacks)
    for_it = enrol(request_text(token("host-a"), key=other), agents, django_capture_on_commit_callbacks)

    assert isinstance(open_one, Rejected)
    assert isinstance(for_it, Enrolled)
    assert Enrolment.objects.get().public_key == other.public_key().public_bytes_raw().hex()


def test_each_message_counts_once_and_only_as_its_senders_own(agents: FakeAgents) -> None:
    enrolled("host-a", "w1")
    good = sealed("host-a", HEARTBEAT_TASK, beat(), NOW)
    forged = sealed("host-b", HEARTBEAT_TASK, beat(), NOW).replace('"host-b"', '"host-a"')
    texts = [
        good,
        good,
        forged,
        good[:-5],
        sealed("host-a", HEARTBEAT_TASK, beat("host-b"), NOW),
        sealed("host-a", HEARTBEAT_TASK, beat(worker_id="w2"), NOW),
        sealed("host-a", REPORTS_TASK, beat(), NOW),
        sealed("host-a", HEARTBEAT_TASK, beat(), after(-61)),
        sealed("host-c", HEARTBEAT_TASK, beat("host-c"), NOW),
    ]

    store.receive_heartbeats(texts, NOW)

    assert Worker.objects.count() == 1
    expected = {"replayed": 1, "forged": 3, "unreadable": 1, "misaddressed": 1, "expired": 1, "not_enrolled": 1}
    assert refused() == expected
    shown = metrics_text().decode()
    for reason in REASONS:
        line = f'scheduler_refused_messages_total{{direction="to_control",reason="{reason}"}}'
        assert f"{line} {expected.get(reason, 0)}.0" in shown


def test_a_nul_anywhere_in_an_enrolled_hosts_word_is_refused_and_counted(agents: FakeAgents) -> None:
    enrolled("host-a", "w1")
    harmless = sealed("host-a", HEARTBEAT_TASK, beat(), NOW)

    store.receive_heartbeats([sealed("host-a", HEARTBEAT_TASK, beat(worker_id="w1\0"), NOW), harmless], NOW)
    own = Reports(host="host-a", session="s\0", sent_at=1, reports=[])
    store.receive_reports(sealed("host-a", REPORTS_TASK, encode(own), NOW), NOW)

    assert refused() == {"unreadable": 2}
    assert Worker.objects.count() == 1


def test_reports_are_taken_once_and_for_ones_own_host_alone(agents: FakeAgents) -> None:
    enrolled("host-a", "w1")
    own = sealed("host-a", REPORTS_TASK, encode(Reports(host="host-a", session="s", sent_at=1, reports=[])), NOW)
    others = sealed("host-a", REPORTS_TASK, encode(Reports(host="host-b", session="s", sent_at=1, reports=[])), NOW)

    for text in (own, own, others):
        store.receive_reports(text, NOW)

    assert refused() == {"replayed": 1, "forged": 1}
    assert SpentNonce.objects.count() == 1


def test_revoking_disconnects_at_once_and_nothing_counts_or_is_sent_any_more(
    agents: FakeAgents, django_capture_on_commit_callbacks: Any
) -> None:
    enrolled("host-a", "w1")
    store.receive_heartbeats([sealed("host-a", HEARTBEAT_TASK, beat(), NOW)], NOW)

    store.revoke("host-a", after(1), "root")
    store.revoke("host-a", after(2), "root")
    with django_capture_on_commit_callbacks(execute=True):
        store.receive_heartbeats([sealed("host-a", HEARTBEAT_TASK, beat(), after(3))], after(3))

    worker = Worker.objects.get()
    assert (worker.state, worker.reason) == ("disconnected", "its key was revoked by root")
    assert keys.addresses(["host-a"]) == {}
    assert isinstance(agents.told[-1][1], Rejected)
    assert refused() == {"revoked": 1}
    back = enrol(request_text(token("host-a")), agents, django_capture_on_commit_callbacks)
    assert isinstance(back, Rejected)


def test_spent_nonces_and_expired_tokens_are_forgotten(agents: FakeAgents) -> None:
    enrolled("host-a", "w1")
    token()
    store.receive_heartbeats([sealed("host-a", HEARTBEAT_TASK, beat(), NOW)], NOW)

    store.sweep(after(1))
    kept = (SpentNonce.objects.count(), JoinToken.objects.count())
    store.sweep(after(3600 + 700))

    assert kept == (1, 1)
    assert (SpentNonce.objects.count(), JoinToken.objects.count()) == (0, 0)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(Conflict):
        store.make_token("web-1", HOUR, 1, NOW, "tests")
    with pytest.raises(Conflict):
        store.make_token("", HOUR, 0, NOW, "tests")
    with pytest.raises(NotFound):
        store.withdraw_token("nothing", NOW, "tests")
    with pytest.raises(NotFound):
        store.revoke("host-x", NOW, "tests")


def test_the_routes_are_for_admins(admin_client: Client, client: Client) -> None:
    made = admin_client.post("/api/v1/join-tokens", {"host": "host-a"}, content_type="application/json")
    listed = admin_client.get("/api/v1/join-tokens").json()["items"]
    enrolled("host-a", "w1")

    assert made.status_code == 201
    assert TokenText.parse(made.json()["token"]).id == listed[0]["id"] == made.json()["id"]
    assert "token" not in listed[0]
    assert admin_client.delete(f"/api/v1/join-tokens/{listed[0]['id']}").status_code == 204
    assert admin_client.post("/api/v1/hosts/host-a/revoke").status_code == 204
    assert client.get("/api/v1/join-tokens").status_code == 401


def test_a_hosts_json_tells_of_its_key(agents: FakeAgents, admin_client: Client) -> None:
    for host, worker_id in (("host-a", "w1"), ("host-b", "w2")):
        enrolled(host, worker_id)
        store.receive_heartbeats([sealed(host, HEARTBEAT_TASK, beat(host, worker_id), NOW)], NOW)
    store.revoke("host-b", after(1), "root")
    Worker.objects.create(
        id="keyless", name="host-k", last_seen_at=NOW, registered_at=NOW, silent_at=NOW, changed_at=NOW
    )

    one = admin_client.get("/api/v1/hosts/host-a").json()
    listed = {host["name"]: host for host in admin_client.get("/api/v1/hosts").json()["items"]}

    assert one["fingerprint"] == Enrolment.objects.get(host="host-a").fingerprint
    assert one["enrolled_at"]
    assert one["revoked_at"] is None
    assert listed["host-b"]["revoked_at"] == "2026-11-21T12:00:01Z"
    assert (listed["host-k"]["enrolled_at"], listed["host-k"]["fingerprint"]) == (None, "")


def test_the_management_command_prints_a_token_or_writes_private_files(tmp_path: Any, capsys: Any) -> None:
    call_command("jointoken")
    call_command("jointoken", "--host", "host-a", "--into", str(tmp_path))

    assert TokenText.parse(capsys.readouterr().out).secret
    assert TokenText.parse((tmp_path / "host-a").read_text()).id
    assert (tmp_path / "host-a").stat().st_mode & 0o077 == 0
    with pytest.raises(CommandError, match="needs --host"):
        call_command("jointoken", "--into", str(tmp_path))
    with pytest.raises(CommandError, match="no host's name"):
        call_command("jointoken", "--host", "web-1")
