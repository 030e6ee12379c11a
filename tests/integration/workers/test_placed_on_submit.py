"""A few commands are placed by whoever submits them, in the transaction that stores them."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from workers import store
from workers.core.commands import NewCommand
from workers.models import Command
from workers.protocol import RunCommand
from workers.testing import FakeAgents

pytestmark = pytest.mark.django_db(transaction=True)


def submit_one() -> None:
    store.submit([NewCommand(argv=["true"])], timezone.now())


def state() -> str:
    return Command.objects.get().state


def test_a_command_is_with_its_agent_when_submit_returns(agents: FakeAgents) -> None:
    agents.connect("host-a", now=timezone.now())

    submit_one()

    sent = [(host, order.unit) for host, order in agents.published if isinstance(order, RunCommand)]
    assert sent == [("host-a", f"command/{Command.objects.get().id}")]


def test_storing_and_placing_a_command_cost_one_commit(agents: FakeAgents) -> None:
    agents.connect("host-a", now=timezone.now())
    agents.agents["host-a"].alive = False

    with CaptureQueriesContext(connection) as queries:
        submit_one()

    assert state() == "scheduled"
    assert sum("COMMIT" in str(query["sql"]) for query in queries) == 1


def test_within_a_callers_transaction_a_command_is_placed_after_that(agents: FakeAgents) -> None:
    agents.connect("host-a", now=timezone.now())

    with transaction.atomic():
        submit_one()
        assert state() == "pending"

    assert state() != "pending"


def test_a_command_is_accepted_also_where_placing_it_fails(agents: FakeAgents, settings: Any) -> None:
    agents.connect("host-a", now=timezone.now())
    settings.SCHEDULER_PLACEMENT = "unheard of"

    submit_one()

    assert state() == "pending"
