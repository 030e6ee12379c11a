"""The admin of what all apps share."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from scheduler_project.models import ApiToken, Event
from scheduler_project.toolkit.access import Role, user_of_token
from scheduler_project.toolkit.events import NewEvent, record
from tests.integration.pages.conftest import NOW, LogIn


@pytest.fixture
def admin(log_in: LogIn) -> Client:
    return log_in(Role.ADMIN, staff=True)


@pytest.mark.parametrize("model", ["event", "lease", "apitoken"], ids=["events", "leases", "tokens"])
def test_every_list_opens(admin: Client, model: str) -> None:
    assert admin.get(f"/admin/scheduler_project/{model}/").status_code == 200


def test_the_sidebar_leads_to_the_models_that_the_user_may_see(admin: Client, log_in: LogIn) -> None:
    viewer = log_in(Role.VIEWER, staff=True)

    assert 'href="/admin/auth/user/"' in admin.get("/admin/").content.decode()
    assert 'href="/admin/auth/user/"' not in viewer.get("/admin/").content.decode()
    assert 'href="/admin/scheduler_project/event/"' in viewer.get("/admin/").content.decode()


def test_events_cannot_be_added_or_changed(admin: Client) -> None:
    record([NewEvent("graph.submitted", "graph:b1")], NOW)

    assert admin.get("/admin/scheduler_project/event/add/").status_code == 403
    answer = admin.post(f"/admin/scheduler_project/event/{Event.objects.get().pk}/change/", {"name": "forged"})
    assert answer.status_code == 403


def test_a_new_token_is_shown_once_and_only_its_digest_is_kept(admin: Client) -> None:
    owner = User.objects.create_user("robot")
    form = {"name": "ci", "user": owner.pk, "expires_at_0": "", "expires_at_1": ""}

    page = admin.post("/admin/scheduler_project/apitoken/add/", form, follow=True).content.decode()

    token = re.search(r"sch_[\w-]+", page)
    assert token is not None
    assert user_of_token(token[0], NOW) == owner
    assert token[0] not in str(ApiToken.objects.values().get())
    assert token[0] not in admin.get("/admin/scheduler_project/apitoken/").content.decode()


def test_renaming_a_token_keeps_it_valid(admin: Client) -> None:
    owner = User.objects.create_user("robot")
    token = ApiToken.objects.create(name="ci", user=owner, digest="d", created_at=NOW)
    form = {"name": "deploy", "user": owner.pk, "expires_at_0": "", "expires_at_1": ""}

    admin.post(f"/admin/scheduler_project/apitoken/{token.pk}/change/", form)

    token.refresh_from_db()
    assert (token.name, token.digest) == ("deploy", "d")


def test_a_viewer_of_the_staff_can_look_and_not_change(log_in: LogIn) -> None:
    viewer = log_in(Role.VIEWER, staff=True)

    assert viewer.get("/admin/scheduler_project/event/").status_code == 200
    assert viewer.get("/admin/scheduler_project/apitoken/add/").status_code == 403
