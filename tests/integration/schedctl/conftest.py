"""schedctl against the real API, in this process, as users of each role."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.utils import timezone

from clusters import tasks as clusters
from graphs import store as graphs
from schedctl.main import cli
from scheduler_project.models import ApiToken
from scheduler_project.toolkit import access
from topologies import tasks as topologies
from workers.testing import FakeAgents

Run = Callable[..., Result]
FACTS = {"executors": ["bash"], "ports": "31000-31100"}


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


@pytest.fixture
def agents(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgents]:
    """Agents on two hosts. Whenever schedctl pauses, the clock ticks and the agents act."""
    with FakeAgents() as agents:
        agents.connect("host-b", "host-a", now=timezone.now(), facts=FACTS)
        monkeypatch.setattr("graphs.store.hints.hint", lambda task, *args, **options: None)
        monkeypatch.setattr("schedctl.waiting.sleep", lambda pause_s: tick(agents))
        yield agents


def tick(agents: FakeAgents) -> None:
    """What a second of the control process does."""
    now = timezone.now()
    graphs.sweep(now)
    clusters.tick(now)
    agents.settle(now)
    topologies.fire_due()
