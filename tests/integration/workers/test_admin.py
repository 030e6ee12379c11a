"""Workers and commands in the admin: everyone with a role looks, operators act, nobody edits."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from tests.support.trust import enrolled
from workers import store
from workers.core.commands import NewCommand
from workers.models import Command, CommandAttempt, Enrolment, Worker
from workers.testing import FakeAgents

pytestmark = pytest.mark.django_db
PAGES = ["/admin/workers/worker/", "/admin/workers/command/"]
LoginAs = Callable[[str], Client]


@pytest.fixture
def login_as() -> LoginAs:
    """A client logged into the admin under a new user of the role."""

    def login(role: str) -> Client:
        user = User.objects.create_user(role, is_staff=True, is_superuser=role == "admin")
        if role not in ("nobody", "admin"):
            user.groups.add(Group.objects.get_or_create(name=role)[0])
        client = Client()
        client.force_login(user)
        return client

    return login


@pytest.fixture
def command(agents: FakeAgents) -> Command:
    agents.connect("host-a", now=timezone.now())
    return store.submit([NewCommand(argv=["sleep", "1"], on="host-b", stdin=b"secret")], timezone.now())[0]


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_lists_and_rows_can_be_seen_and_searched(login_as: LoginAs, command: Command, role: str) -> None:
    client = login_as(role)

    for page in PAGES:
        assert client.get(page, {"q": "host"}).status_code == 200
        assert client.get(f"{page}add/").status_code == 403
    assert client.get(f"/admin/workers/worker/{Worker.objects.get().id}/change/").status_code == 200
    assert client.get(f"/admin/workers/command/{command.id}/change/").status_code == 200
    assert client.get(f"/admin/workers/command/{command.id}/delete/").status_code == 403


def test_the_row_of_a_command_shows_its_earlier_attempts(login_as: LoginAs, command: Command) -> None:
    CommandAttempt.objects.create(command=command, attempt=1, state="done", exit_code=99, reason="the first try")

    page = login_as("viewer").get(f"/admin/workers/command/{command.id}/change/")

    assert b"the first try" in page.content


def test_without_a_role_nothing_is_seen(login_as: LoginAs, command: Command) -> None:
    client = login_as("nobody")

    assert [client.get(page).status_code for page in PAGES] == [403, 403]


def test_an_operator_drains_undrains_and_cancels(login_as: LoginAs, command: Command) -> None:
    client = login_as("operator")
    row = Worker.objects.get()

    def act(page: str, action: str, pk: str) -> None:
        assert client.post(page, {"action": action, "_selected_action": [pk]}).status_code == 302

    act(PAGES[0], "drain", row.id)
    drained = Worker.objects.get().draining
    act(PAGES[0], "undrain", row.id)
    act(PAGES[1], "cancel", command.id)

    assert (drained, Worker.objects.get().draining) == (True, False)
    command.refresh_from_db()
    assert (command.state, command.reason) == ("cancelled", "cancelled by operator")


def test_a_viewer_is_not_offered_the_actions(login_as: LoginAs, command: Command) -> None:
    client = login_as("viewer")

    client.post(PAGES[1], {"action": "cancel", "_selected_action": [command.id]})

    command.refresh_from_db()
    assert command.state == "pending"
    assert b"Cancel" not in client.get(PAGES[1]).content


def test_an_operator_removes_what_is_gone_and_is_told_what_is_not(
    login_as: LoginAs, command: Command, agents: FakeAgents
) -> None:
    agents.connect("host-b", now=timezone.now())
    agents.stop("host-b", timezone.now())
    pks = list(Worker.objects.values_list("id", flat=True))

    answer = login_as("operator").post(PAGES[0], {"action": "remove", "_selected_action": pks}, follow=True)

    assert list(Worker.objects.values_list("name", flat=True)) == ["host-a"]
    assert b"removed: host-b" in answer.content
    assert b"host-a is connected" in answer.content


def test_only_an_admin_revokes_a_hosts_key(login_as: LoginAs, command: Command) -> None:
    enrolled("host-a", "id-of-host-a")
    form = {"action": "revoke", "_selected_action": [Worker.objects.get().id]}

    login_as("operator").post(PAGES[0], form)
    by_operator = Enrolment.objects.get().revoked_at
    answer = login_as("admin").post(PAGES[0], form, follow=True)

    assert (by_operator, b"revoked: host-a" in answer.content) == (None, True)
    assert Enrolment.objects.get().revoked_at is not None
