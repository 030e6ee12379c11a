"""Nothing is open without a login but the probes; people are sent to the login, programs get a problem."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from scheduler_project.toolkit.access import Role
from tests.integration.pages.conftest import LogIn

PAGES = ["/", "/graphs/", "/graphs/b1", "/graphs/b1/drawing.json", "/commands/", "/hosts/host-a", "/metrics"]
ADDRESSES = [*PAGES, "/api/v1/openapi.json", "/api/v1/docs"]

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_stranger_is_sent_to_the_login(address: str) -> None:
    answer = Client(headers={"Accept": "text/html"}).get(address)

    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/login?next={address}"


@pytest.mark.parametrize("address", [*ADDRESSES, "/api/v1/whoami", "/api/v1/events"])
def test_a_program_without_a_token_gets_a_problem(address: str) -> None:
    answer = Client().get(address)

    assert answer.status_code == 401
    assert answer.json()["title"] == "unauthenticated"


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_user_without_a_role_is_told_whom_to_ask(log_in: LogIn, address: str) -> None:
    answer = log_in(Role.NONE).get(address)

    assert answer.status_code == 403
    assert "Ask an admin" in answer.content.decode()


def test_a_token_opens_what_programs_read(bearer: dict[str, str]) -> None:
    for address in ("/metrics", "/api/v1/openapi.json", "/api/v1/whoami"):
        assert Client().get(address, headers=bearer).status_code == 200


def test_a_token_tells_whom_it_stands_for(bearer: dict[str, str]) -> None:
    assert Client().get("/api/v1/whoami", headers=bearer).json() == {"username": "robot", "role": "viewer"}


def test_name_and_password_open_the_home_page() -> None:
    User.objects.create_superuser("ada", password="engine no. 1")
    client = Client()

    answer = client.post("/login?next=/", {"username": "ada", "password": "engine no. 1"}, follow=True)

    assert answer.redirect_chain == [("/", 302)]
    assert b"Log out" in answer.content


def test_a_wrong_password_is_told() -> None:
    assert b"do not match" in Client().post("/login", {"username": "ada", "password": "wrong"}).content


def test_logging_out_ends_the_login(viewer: Client) -> None:
    viewer.post("/logout")

    assert viewer.get("/").status_code == 302


@pytest.mark.parametrize(
    ("role", "codename", "granted"),
    [
        (Role.VIEWER, "view_event", True),
        (Role.VIEWER, "view_graph", True),
        (Role.VIEWER, "change_graph", False),
        (Role.VIEWER, "view_user", False),
        (Role.OPERATOR, "view_command", True),
        (Role.OPERATOR, "delete_worker", False),
        (Role.ADMIN, "delete_worker", True),
        (Role.ADMIN, "add_user", True),
    ],
)
def test_each_role_may_do_its_part_in_the_admin(role: Role, codename: str, granted: bool) -> None:
    held = Group.objects.get(name=role.name.lower()).permissions.filter(codename=codename)

    assert held.exists() == granted
