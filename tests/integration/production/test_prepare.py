"""`manage.py prepare`: tables and the first login, once, on an empty database."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command


def prepared() -> str:
    output = StringIO()
    call_command("prepare", stdout=output)
    return output.getvalue()


@pytest.fixture(autouse=True)
def no_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)
    monkeypatch.delenv("GUEST_PASSWORD", raising=False)


@pytest.mark.django_db(transaction=True)
def test_a_made_up_password_is_shown_once_and_works() -> None:
    shown = prepared()
    password = shown.partition("with the password ")[2].split()[0]
    assert User.objects.get(username="admin").check_password(password)
    assert "password" not in prepared()


@pytest.mark.django_db(transaction=True)
def test_a_given_password_is_set_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "given by the operator")
    assert "given by the operator" not in prepared()
    assert User.objects.get(username="admin").check_password("given by the operator")


@pytest.mark.django_db(transaction=True)
def test_a_guest_may_only_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUEST_PASSWORD", "given to guests")
    prepared()
    assert [group.name for group in User.objects.get(username="guest").groups.all()] == ["viewer"]
