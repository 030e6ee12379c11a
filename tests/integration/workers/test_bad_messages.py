"""Bad messages at the real store: whatever they would report, no row changes, and `/metrics` counts each."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler_project.metrics import metrics_text
from tests.support.bad_messages import SPENT, Badness, badnesses
from tests.support.trust import enrolled, worker_key
from workers import store
from workers.core.commands import NewCommand
from workers.core.envelope import CONTROL, REASONS, Forged, NotEnrolled, Refusal, Route, seal
from workers.models import Command, SpentNonce, Worker
from workers.protocol import (
    ENROL_TASK,
    HEARTBEAT_TASK,
    REPORTS_TASK,
    Ended,
    Enrol,
    Heartbeat,
    Numbered,
    Reports,
    Started,
    encode,
)
from workers.testing import FakeAgents

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOST = "host-a"
KEY = worker_key(HOST)


def running_command(agents: FakeAgents) -> Command:
    """A command that was given to a host which has not answered yet."""
    agents.connect(HOST, now=NOW)
    (command,) = store.submit([NewCommand(argv=["true"])], NOW)
    store.place_pending(NOW)
    command.refresh_from_db()
    return command


def receive(task: str, text: str) -> None:
    if task == REPORTS_TASK:
        store.receive_reports(text, NOW)
    elif task == HEARTBEAT_TASK:
        store.receive_heartbeats([text], NOW)
    else:
        store.enrol(text, NOW)


def everything() -> list[Any]:
    """All rows that a message could change, but for the counters."""
    return [*Command.objects.values(), *Worker.objects.values(), *SpentNonce.objects.order_by("id").values()]


def reason_at_control(badness: Badness) -> type[Refusal]:
    """Control looks the key up by the name of who speaks: for a name that nobody has there is none."""
    return NotEnrolled if badness.reason is Forged and badness.kind == "impostor" else badness.reason


def test_none_of_five_hundred_has_an_effect_on_control(agents: FakeAgents) -> None:
    command = running_command(agents)
    worker = Worker.objects.get()
    enrolled(HOST, worker.id)
    started = Started(unit=f"command/{command.id}", attempt=command.attempt, at=1, pid=1)
    ended = Ended(unit=f"command/{command.id}", attempt=command.attempt, at=2, exit_code=0)
    numbered = [Numbered(1, started), Numbered(2, ended)]
    reports = encode(Reports(host=HOST, session=worker.session, sent_at=1, reports=numbered))
    heartbeat = Heartbeat(
        host=HOST, worker_id=worker.id, session="a newer one", started_at=9, sent_at=9, version="bad", address="bad"
    )
    bodies = {REPORTS_TASK: reports, HEARTBEAT_TASK: encode(heartbeat)}
    nothing = encode(Reports(host=HOST, session=worker.session, sent_at=1, reports=[]))
    receive(REPORTS_TASK, seal(nothing, Route(HOST, CONTROL, REPORTS_TASK), KEY, NOW.timestamp(), 30, SPENT))
    before, counted = everything(), Counter[str]()

    @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(badness=badnesses, task=st.sampled_from(sorted(bodies)))
    def refused(badness: Badness, task: str) -> None:
        receive(task, badness.of(bodies[task], Route(HOST, CONTROL, task), KEY, NOW.timestamp()))
        counted[reason_at_control(badness).reason] += 1
        assert everything() == before

    refused()

    assert counted.total() >= 500
    told = metrics_text().decode()
    for reason in REASONS:
        line = f'scheduler_refused_messages_total{{direction="to_control",reason="{reason}"}}'
        assert f"{line} {counted[reason]}.0" in told
    receive(REPORTS_TASK, seal(reports, Route(HOST, CONTROL, REPORTS_TASK), KEY, NOW.timestamp(), 30, "good"))
    command.refresh_from_db()
    assert command.state == "done"


def test_a_message_that_is_sent_again_as_it_was_has_no_second_effect(agents: FakeAgents) -> None:
    command = running_command(agents)
    worker = Worker.objects.get()
    enrolled(HOST, worker.id)
    ended = Ended(unit=f"command/{command.id}", attempt=command.attempt, at=2, exit_code=3)
    body = encode(Reports(host=HOST, session=worker.session, sent_at=1, reports=[Numbered(1, ended)]))
    text = seal(body, Route(HOST, CONTROL, REPORTS_TASK), KEY, NOW.timestamp(), 30, "once")
    receive(REPORTS_TASK, text)
    Command.objects.update(state="running", ended_at=None, exit_code=None)

    receive(REPORTS_TASK, text)

    command.refresh_from_db()
    assert (command.state, command.exit_code) == ("running", None)


@settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(badness=badnesses)
def test_no_bad_enrolment_gets_a_key_accepted(badness: Badness) -> None:
    """A request of somebody who has no token, in whatever shape it comes."""
    public = KEY.public_key().public_bytes_raw()
    request = Enrol(host=HOST, worker_id="w1", public_key=public, token="none", request="r1", proof="none")

    receive(ENROL_TASK, badness.of(encode(request), Route(HOST, CONTROL, ENROL_TASK), KEY, NOW.timestamp()))

    assert not everything()
