"""Components that are containers on hosts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from graphs import store
from graphs.holding import why
from graphs.models import Component, Graph
from scheduler_project.toolkit.errors import InvalidDocument
from workers import store as commands
from workers.models import Command, Worker
from workers.store.orders import run_order

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def component(**fields: Any) -> dict[str, Any]:
    base = {"_component": "job", "_component_id": "job::a", "_action": "run", "_provider": "docker"}
    return base | {"image": "alpine:3.20"} | fields


def submit(change: dict[str, Any], graph_id: str = "b1") -> Graph:
    edges = [{"source": "start", "destination": "job::a"}]
    graph = store.submit({"id": graph_id, "changes": [change], "edges": edges}, NOW, source="topology")
    store.advance([graph.pk], NOW)
    return graph


def test_a_component_becomes_a_command_in_a_container_with_all_it_asks_for() -> None:
    submit(
        component(
            argv=["echo", "hi"],
            env={"A": "1"},
            on="host-a",
            mounts=[{"source": "/srv/in", "target": "/in"}, {"source": "/srv/out", "target": "/out", "writable": True}],
            cpus=0.5,
            memory_mb=64,
            pull="always",
            user="1000:1000",
            workdir="/in",
            timeout_s=5,
            grace_s=2,
            entrypoint=["nice"],
            network="none",
        )
    )
    order = run_order(Command.objects.get())
    assert (order.argv, order.env, order.cwd, order.user) == (["echo", "hi"], {"A": "1"}, "/in", "1000:1000")
    assert (order.timeout_s, order.grace_s, order.limits.memory_mb) == (5, 2, 64)
    container = order.container
    assert container is not None
    assert container.entrypoint == ["nice"]
    assert (container.image, container.pull, container.network, container.cpus) == (
        "alpine:3.20",
        "always",
        "none",
        0.5,
    )
    told = [(mount.source, mount.target, mount.writable) for mount in container.mounts]
    assert told == [("/srv/in", "/in", False), ("/srv/out", "/out", True)]
    assert Component.objects.changes().get().handle == Command.objects.get().pk


@pytest.mark.parametrize(
    ("fields", "entrypoint", "argv"),
    [
        ({}, None, []),
        ({"argv": ["a"]}, None, ["a"]),
        ({"argv": ["a"], "entrypoint": []}, [], ["a"]),
        ({"command": "echo $A"}, [], ["sh", "-c", "echo $A"]),
    ],
)
def test_a_text_is_run_by_the_shell_alone_and_nothing_is_the_image_s_own_command(
    fields: dict[str, Any], entrypoint: list[str] | None, argv: list[str]
) -> None:
    submit(component(**fields))
    order = run_order(Command.objects.get())
    assert order.container is not None
    assert (order.container.entrypoint, order.argv) == (entrypoint, argv)


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"image": 7}, "image", "must be a string"),
        ({"image": "not an image"}, "image", "is no image's name"),
        ({"argv": ["a"], "command": "a"}, "", "either `argv`"),
        ({"entrypoint": "sh"}, "entrypoint", "must be a list of strings"),
        ({"entrypoint": ["sh"], "command": "a"}, "entrypoint", "does not go with `command`"),
        ({"entrypoint": []}, "entrypoint", "`argv` has to say what runs"),
        ({"grace_s": "long"}, "grace_s", "must be a number of seconds"),
        ({"grace_s": -1}, "grace_s", "is not a number of seconds"),
        ({"pull": "sometimes"}, "pull", "must be one of missing, always, never"),
        ({"network": "my net"}, "network", "is no network's name"),
        ({"cpus": "two"}, "cpus", "must be a number"),
        ({"cpus": -1}, "cpus", "is not a number from 0"),
        ({"memory_mb": 1.5}, "memory_mb", "must be a whole number"),
        ({"memory_mb": -1}, "memory_mb", "is not a whole number from 0"),
        ({"user": "a b"}, "user", "is no user's name"),
        ({"workdir": "in"}, "workdir", "is no absolute path"),
        ({"mounts": "/a:/b"}, "mounts", "must be a list"),
        ({"mounts": ["/a:/b"]}, "mounts[0]", "must be an object with"),
        ({"mounts": [{"source": "a", "target": "/b"}]}, "mounts[0].source", "is no absolute path"),
        ({"on": "zone="}, "on", ""),
    ],
)
def test_each_fault_is_told_with_its_path(fields: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        submit(component(**fields))
    (fault,) = caught.value.faults
    assert fault.path == f"changes[0].{path}".removesuffix(".")
    assert message in fault.message


def test_the_image_is_needed() -> None:
    change = component()
    del change["image"]
    with pytest.raises(InvalidDocument, match="name the image"):
        submit(change)


def test_a_host_without_an_engine_is_not_given_one_and_says_why() -> None:
    for name, executors in (("host-a", ["bash"]), ("host-b", ["bash", "docker"])):
        facts = {"executors": executors}
        times = dict.fromkeys(("registered_at", "last_seen_at", "silent_at", "changed_at"), NOW)
        Worker.objects.create(id=name, name=name, slots=9, facts=facts, **times)
    submit(component())
    submit(component(on="host-a"), "b2")
    commands.place_pending(NOW)
    placed, waiting = Command.objects.order_by("id")
    assert (placed.state, placed.worker_id) == ("scheduled", "host-b")
    assert waiting.state == "pending"
    assert "host-a: no executor docker" in waiting.reason
    assert why(Graph.objects.get(pk="b2"), "job::a").summary == f"its command waits for a host: {waiting.reason}"
    assert why(Graph.objects.get(pk="b1"), "job::a").summary == "its command is scheduled on host-b"


def test_pages_name_the_image_where_there_is_no_argv(admin_client: Client) -> None:
    submit(component())
    command = Command.objects.get()
    for address in (reverse("workers:command", args=[command.pk]), reverse("workers:commands")):
        assert b"alpine:3.20" in admin_client.get(address).content
