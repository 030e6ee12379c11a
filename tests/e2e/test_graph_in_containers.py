"""Graphs of containers: real control, clock and agents over a real broker, and a real Docker Engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from graphs import store
from graphs.holding import why
from graphs.models import Component, Graph
from tests.support.engines import Real
from tests.support.fleet import Fleet, fleet
from tests.support.processes import Processes
from tests.support.servers import DockerEngine, ValkeyServer
from tests.support.servers.docker import IMAGE
from tests.support.wait import wait_until
from workers.models import Command
from workers.output import output_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180), pytest.mark.once]
ENDED_WITHIN_S = 60
POLICY = """
[images]
allow = ["*"]
[mounts]
allow = ["{0}"]
[writable_mounts]
allow = ["{0}"]
"""
WRITTEN = '$(changes.#[_component_id="job::writes"].stdout)'
EAT = "x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo $x"


@pytest.fixture
def system(
    docker_engine: DockerEngine, processes: Processes, valkey_server: ValkeyServer, database_url: str
) -> Iterator[Fleet]:
    """Control and a clock, without hosts."""
    with fleet(processes, valkey_server, database_url) as started:
        started.start_control()
        started.start_clock()
        yield started
    Real(docker_engine).clear()


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that `join` lets containers mount and write."""
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


def join(system: Fleet, shared: Path, engine: DockerEngine) -> None:
    policy = shared.with_name("policy.toml")
    policy.write_text(POLICY.format(shared))
    system.join("host-a", DOCKER_HOST=engine.url, SCHEDULER_AGENT_POLICY=str(policy))


def submit(graph_id: str, edges: dict[str, str] | None = None, **components: dict[str, Any]) -> Graph:
    """A graph of containers by name; `edges` are from one to the other."""
    base = {"_component": "job", "_action": "run", "_provider": "docker", "image": IMAGE, "network": "none"}
    changes = [{**base, "_component_id": f"job::{name}", **fields} for name, fields in components.items()]
    starts = dict.fromkeys(components, "start") | {to: f"job::{of}" for to, of in (edges or {}).items()}
    links = [{"source": source, "destination": f"job::{name}"} for name, source in starts.items()]
    graph = store.submit({"id": graph_id, "changes": changes, "edges": links}, timezone.now(), source="http")
    store.advance([graph.pk], timezone.now())
    return graph


def ended(graph: Graph) -> dict[str, Component]:
    """Its components by name, once it is over."""
    over = Graph.objects.filter(pk=graph.pk, ended_at__isnull=False)
    wait_until(over.exists, ENDED_WITHIN_S, every_s=0.2, what="the graph's end")
    found = Component.objects.changes().filter(graph=graph)
    return {one.component_id.removeprefix("job::"): one for one in found}


def wait_output(component_id: str, text: str) -> None:
    def written() -> bool:
        command = Command.objects.filter(owner__contains=f"/{component_id}/").first()
        return command is not None and text.encode() in output_of(command.id, "stdout")

    wait_until(written, ENDED_WITHIN_S, every_s=0.2, what=f"{component_id} to say {text}")


def test_containers_of_a_graph_run_in_order_and_tell_how_they_ended(
    system: Fleet, shared: Path, docker_engine: DockerEngine, admin_client: Client
) -> None:
    join(system, shared, docker_engine)
    graph = submit(
        "good",
        {"reads": "writes"},
        writes={"argv": ["echo", "made by argv"]},
        reads={
            "command": "echo $FOUND and $COLOUR",
            "env": {"COLOUR": "blue", "FOUND": WRITTEN},
        },
    )
    found = ended(graph)
    assert {one.state for one in found.values()} == {"completed"}
    assert found["writes"].document["stdout"] == "made by argv\n"
    assert found["reads"].document["stdout"].split() == ["made", "by", "argv", "and", "blue"]
    page = admin_client.get(reverse("workers:command", args=[found["writes"].handle]))
    assert b"made by argv" in page.content


def test_each_way_to_fail_is_told_apart(system: Fleet, shared: Path, docker_engine: DockerEngine) -> None:
    join(system, shared, docker_engine)
    real = Real(docker_engine)
    graph = submit(
        "bad",
        fails={"command": "echo no space left >&2; exit 3"},
        eats={"command": EAT, "memory_mb": 16},
        lasts={"command": "echo ready; sleep 100", "timeout_s": 1},
        nowhere={"image": real.unknown},
        absent={"image": "tools:none", "pull": "never"},
        mounts={"argv": ["true"], "mounts": [{"source": "/etc", "target": "/data"}]},
    )
    found = ended(graph)
    assert {one.state for one in found.values()} == {"errored"}
    reasons = {name: one.reason for name, one in found.items()}
    assert reasons["fails"] == "exit code 3: no space left"
    assert reasons["eats"] == "exit code 137: OOMKilled: the container ran out of memory; memory_mb is 16"
    assert reasons["lasts"].startswith("exit code 143 after its timeout")
    assert real.unknown in reasons["nowhere"]
    assert reasons["absent"] == "exit code 125: No such image: tools:none"
    assert "mount of /etc fits nothing in mounts.allow" in reasons["mounts"]
    assert real.containers() == []


def test_cancelling_a_graph_stops_its_container(system: Fleet, shared: Path, docker_engine: DockerEngine) -> None:
    join(system, shared, docker_engine)
    graph = submit("cancelled", lasts={"command": "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"})
    wait_output("job::lasts", "ready")
    store.cancel(graph.pk, timezone.now(), "ann")
    assert ended(graph)["lasts"].state == "cancelled"
    assert Real(docker_engine).containers() == []


def test_a_container_whose_agent_is_killed_runs_once_and_its_result_arrives(
    system: Fleet, shared: Path, docker_engine: DockerEngine
) -> None:
    join(system, shared, docker_engine)
    script = f"echo ran >>{shared}/runs; echo one; until [ -e {shared}/gate ]; do sleep 0.1; done; echo two"
    mount = {"source": str(shared), "target": str(shared), "writable": True}
    graph = submit("killed", lasts={"command": script, "mounts": [mount]})
    wait_output("job::lasts", "one")
    system.kill_agents()
    (shared / "gate").touch()
    system.return_agents()
    lasts = ended(graph)["lasts"]
    assert (lasts.state, lasts.attempt, lasts.document["stdout"]) == ("completed", 1, "one\ntwo\n")
    assert (shared / "runs").read_text() == "ran\n"


def test_a_container_goes_on_while_its_engine_is_restarted(system: Fleet, shared: Path) -> None:
    engine = DockerEngine("--live-restore")
    try:
        join(system, shared, engine)
        script = f"echo ran >>{shared}/runs; echo one; until [ -e {shared}/gate ]; do sleep 0.1; done; echo two"
        mount = {"source": str(shared), "target": str(shared), "writable": True}
        graph = submit("restarted", lasts={"command": script, "mounts": [mount]})
        wait_output("job::lasts", "one")
        engine.kill()
        engine.start()
        (shared / "gate").touch()
        lasts = ended(graph)["lasts"]
    finally:
        engine.close()
    assert (lasts.state, lasts.document["stdout"]) == ("completed", "one\ntwo\n")
    assert (shared / "runs").read_text() == "ran\n"


def test_a_host_without_an_engine_is_not_given_one_and_why_says_so(
    system: Fleet, shared: Path, docker_engine: DockerEngine
) -> None:
    system.join("host-b", DOCKER_HOST=f"unix://{shared}/none.sock")
    graph = submit("waits", waits={"argv": ["true"]})
    waiting = Command.objects.filter(state="pending", reason__contains="no executor docker")
    wait_until(waiting.exists, ENDED_WITHIN_S, what="the refusal of host-b")
    assert "host-b: no executor docker" in why(graph, "job::waits").summary
    join(system, shared, docker_engine)
    assert ended(graph)["waits"].state == "completed"
    assert Command.objects.get().worker.name == "host-a"  # type: ignore[union-attr]
