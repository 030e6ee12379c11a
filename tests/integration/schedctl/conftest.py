"""schedctl against the real API, in this process, as users of each role."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.utils import timezone

from schedctl.main import cli
from scheduler_project.models import ApiToken
from scheduler_project.toolkit import access

Run = Callable[..., Result]


class LiveServer(Protocol):
    """What pytest-django's `live_server` offers."""

    url: str


@pytest.fixture
def token_of() -> Callable[[str], str]:
    """Makes a user of a role and gives a token of theirs."""

    def make(role: str) -> str:
        user = User.objects.create_user(f"{role}-{User.objects.count()}")
        user.groups.add(Group.objects.get_or_create(name=role)[0])
        token = access.new_token()
        ApiToken.objects.create(name=role, user=user, digest=access.digest(token), created_at=timezone.now())
        return token

    return make


@pytest.fixture
def schedctl(
    live_server: LiveServer, token_of: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs a command line as an operator."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDCTL_SERVER", live_server.url)
    monkeypatch.setenv("SCHEDCTL_TOKEN", token_of("operator"))

    def run(*words: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(cli, list(words), input=stdin, prog_name="schedctl")

    return run
