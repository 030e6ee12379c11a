"""Users of each role and rows for the pages to show."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from graphs.models import Component, Edge, Graph, Part
from scheduler_project.models import ApiToken
from scheduler_project.roles import group
from scheduler_project.toolkit.access import Role, digest
from topologies.core.triggers import CronTrigger
from topologies.models import Topology
from workers.models import Command, CommandOutput, Worker

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
LogIn = Callable[..., Client]


@pytest.fixture
def log_in(db: None) -> LogIn:
    """`log_in(Role.VIEWER)`: a browser of a user with that role."""

    def logged_in(role: Role, staff: bool = False) -> Client:
        user = User.objects.create_user(f"{role.name.lower()}-{staff}", is_staff=staff)
        if role > Role.NONE:
            user.groups.add(group(role))
        client = Client(headers={"Accept": "text/html"})
        client.force_login(user)
        return client

    return logged_in


@pytest.fixture
def viewer(log_in: LogIn) -> Client:
    return log_in(Role.VIEWER)


@pytest.fixture
def operator(log_in: LogIn) -> Client:
    return log_in(Role.OPERATOR)


@pytest.fixture
def bearer(db: None) -> dict[str, str]:
    """Headers of a program with a viewer's token."""
    user = User.objects.create_user("robot")
    user.groups.add(group(Role.VIEWER))
    ApiToken.objects.create(name="robot", user=user, digest=digest("sch_robot"), created_at=NOW)
    return {"Authorization": "Bearer sch_robot"}


@pytest.fixture
def worker(db: None) -> Worker:
    return Worker.objects.create(
        id="w1",
        name="host-a",
        slots=8,
        running=3,
        facts={"cores": 4},
        registered_at=NOW,
        changed_at=NOW,
        last_seen_at=NOW,
        silent_at=NOW,
    )


@pytest.fixture
def command(worker: Worker) -> Command:
    made = Command.objects.create(
        id="0190-1",
        argv=["sh", "-c", "echo <hi>"],
        state="done",
        exit_code=3,
        worker=worker,
        created_at=NOW,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=12),
    )
    for offset, data in ((0, b"first "), (6, b"<second>")):
        CommandOutput.objects.create(command=made, attempt=made.attempt, stream="stdout", offset=offset, data=data)
    return made


@pytest.fixture
def graph(db: None) -> Graph:
    """`network::web` is completed, `instance::web` runs and waits for it and for `vpc::main`, which exists."""
    made = Graph.objects.create(
        id="b1",
        serial="1",
        name="shop",
        action="build.create",
        source="http",
        digest="d",
        state="running",
        created_at=NOW,
        started_at=NOW,
        completed=1,
        running=1,
    )
    rows = {
        name: Component.objects.create(
            graph=made,
            part=part,
            component_id=name,
            type=name.partition("::")[0],
            provider="aws",
            backend="nats",
            state=state,
            attempt=bool(state),
            document={"name": name, "aws_secret_access_key": "s3cret"},
        )
        for name, part, state in [
            ("vpc::main", Part.EXISTS, ""),
            ("vpc::unused", Part.EXISTS, ""),
            ("network::web", Part.CHANGE, "completed"),
            ("instance::web", Part.CHANGE, "running"),
        ]
    }
    for source, destination in [
        (None, "network::web"),
        ("network::web", "instance::web"),
        ("vpc::main", "instance::web"),
    ]:
        Edge.objects.create(graph=made, source=rows[source] if source else None, destination=rows[destination])
    return made


@pytest.fixture
def topology(db: None) -> Topology:
    """Fires each minute; `crunch` runs after `fetch`."""
    components = [{"name": "fetch", "after": []}, {"name": "crunch", "after": ["fetch"]}]
    return Topology.objects.create(
        name="heartbeat",
        spec={"trigger": CronTrigger("0 * * * * ?", "UTC").document(), "graph": {"components": components}},
        overlap="skip",
        next_run_at=NOW + timedelta(seconds=55),
        created_at=NOW,
        updated_at=NOW,
    )
