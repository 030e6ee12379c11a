"""Arrays over HTTP: how far they are, and cancelled at once."""

import pytest
from django.test import Client
from django.utils import timezone

from tests.support.clients import client_of
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command
from workers.store import arrays
from workers.testing import FakeAgents, Ran, committing

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    return client_of("operator")


@pytest.fixture
def array_id(agents: FakeAgents) -> str:
    """Five commands, of which two run and three wait."""
    agents.connect("host-a", now=timezone.now())
    agents.run = lambda order: Ran(holds=True)
    commands = store.submit_array(NewCommand(argv=["work"]), "0-4", 0, timezone.now())
    Command.objects.filter(array_index__gt=1).update(on="host-b")
    agents.settle(timezone.now())
    return commands[0].array_id or ""


def test_an_array_tells_how_many_are_in_which_state(operator: Client, array_id: str) -> None:
    answer = operator.get(f"/api/v1/arrays/{array_id}").json()

    assert answer["id"] == array_id
    assert {state: count for state, count in answer["counts"].items() if count} == {"running": 2, "pending": 3}
    assert sum(answer["counts"].values()) == 5


def test_an_array_is_cancelled_at_once_in_batches(
    operator: Client, agents: FakeAgents, array_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "BATCH_SIZE", 2)

    with committing():
        answer = operator.post(f"/api/v1/arrays/{array_id}/cancel")
    agents.settle(timezone.now())

    assert (answer.status_code, answer.json()["counts"]["cancelled"]) == (200, 3)
    assert {(one.state, one.reason) for one in Command.objects.all()} == {("cancelled", "cancelled by operator")}


def test_an_array_that_is_not_there_is_not_found(operator: Client) -> None:
    assert operator.get("/api/v1/arrays/none").status_code == 404
    assert operator.post("/api/v1/arrays/none/cancel").status_code == 404


def test_a_viewer_may_not_cancel_an_array(array_id: str) -> None:
    assert client_of("viewer").post(f"/api/v1/arrays/{array_id}/cancel").status_code == 403
