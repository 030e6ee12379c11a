"""Bad messages at a real agent: none is carried out, and `/metrics` counts each by its reason once that is heard."""

import time
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings

from scheduler_project.counting import count_due
from scheduler_project.metrics import metrics_text
from tests.support.agents import TestHost
from tests.support.bad_messages import SPENT, Badness, badnesses
from tests.support.trust import any_token, enrolled, sealed, secret
from tests.support.wait import wait_until
from workers import store
from workers.core.enrolment import control_key, token_text
from workers.core.envelope import CONTROL, REASONS, Route, audience_of, seal
from workers.protocol import HEARTBEAT_TASK, RECEIVE_TASK, Heartbeat, Orders, RunCommand, SetDraining, encode


def route(host: TestHost) -> Route:
    return Route(CONTROL, audience_of(host.config.host, host.control.signer.worker_id), RECEIVE_TASK)


def orders(host: TestHost, argv: list[str]) -> str:
    run = RunCommand(unit="command/1", attempt=1, argv=argv)
    return encode(Orders(host=host.config.host, sent_at=time.time(), orders=[run, SetDraining(draining=True)]))


def deliver(host: TestHost, text: str) -> None:
    assert host.agent is not None
    host.agent.deliver(text).result(10)


def heard(host: TestHost, counted: Counter[str]) -> Heartbeat:
    """A heartbeat that tells of all that was refused."""
    wait_until(
        lambda: any(beat.refused == counted for beat in host.control.heartbeats[-1:]),
        what=f"the agent to tell of {counted}",
    )
    return host.control.heartbeats[-1]


@pytest.mark.django_db
def test_none_of_five_hundred_is_carried_out(host: TestHost, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    body, key = orders(host, ["touch", str(trace)]), control_key(secret())
    nothing = encode(Orders(host=host.config.host, sent_at=time.time(), orders=[]))
    deliver(host, seal(nothing, route(host), key, time.time(), 30, SPENT))
    counted: Counter[str] = Counter()

    @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(badness=badnesses)
    def refused(badness: Badness) -> None:
        deliver(host, badness.of(body, route(host), key, time.time()))
        counted[badness.reason.reason] += 1

    refused()

    assert counted.total() >= 500
    heartbeat = heard(host, counted)
    assert host.reports == []
    assert not trace.exists()
    enrolled(heartbeat.host, heartbeat.worker_id)
    store.receive_heartbeats([sealed(heartbeat.host, HEARTBEAT_TASK, encode(heartbeat))], timezone.now())
    count_due(timezone.now())
    told = metrics_text().decode()
    for reason in REASONS:
        line = f'scheduler_refused_messages_total{{direction="to_agent",reason="{reason}"}}'
        assert f"{line} {counted[reason]}.0" in told
    deliver(host, seal(body, route(host), key, time.time(), 30, "good"))
    assert host.ended().exit_code == 0


def test_orders_that_are_sent_again_as_they_were_count_once_also_after_a_restart(host: TestHost) -> None:
    text = seal(orders(host, ["true"]), route(host), control_key(secret()), time.time(), 30, uuid.uuid4().hex)
    deliver(host, text)
    host.ended()

    host.restart()
    deliver(host, text)

    heard(host, Counter({"replayed": 1}))


def test_an_agent_obeys_only_the_control_that_it_enrolled_with(host: TestHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of SECRET_KEY, before the agent was given a new token."""
    monkeypatch.setenv("SECRET_KEY", "another secret of control")

    deliver(host, seal(orders(host, ["true"]), route(host), control_key(secret()), time.time(), 30, "n"))

    heard(host, Counter({"forged": 1}))
    assert host.reports == []


def test_with_a_token_of_the_changed_control_an_agent_enrols_anew_and_says_so(
    host: TestHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old = control_key(secret())
    monkeypatch.setenv("SECRET_KEY", "another secret of control")
    host.stop()
    host.control.signer.worker_id = ""
    host.config = replace(host.config, join_token=any_token())
    host.start()

    host.run("true")
    assert host.ended().exit_code == 0
    assert "control.key_changed" in caplog.text
    deliver(host, seal(orders(host, ["true"]), route(host), old, time.time(), 30, "n"))
    heard(host, Counter({"forged": 1}))
    assert token_text(secret(), "tests").control_key.hex() in (host.config.state_dir / "enrolment.json").read_text()
