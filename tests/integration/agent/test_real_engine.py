"""Commands in containers of a real Docker Engine: what only an engine can show."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agents import TestHost
from tests.support.engines import Real
from tests.support.servers import DockerEngine
from tests.support.servers.docker import CLOSED_REGISTRY, IMAGE, LOGIN
from tests.support.wait import wait_until
from workers.agent import containers
from workers.agent.core.policy import parse
from workers.protocol import InContainer, Limits, Mount, StopUnit

LOOP = "while :; do sleep 0.1; done"
EAT = "x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo $x"


def run(host: TestHost, script: str, container: InContainer | None = None, **fields: object) -> None:
    host.run("sh", "-c", script, container=container or InContainer(image=IMAGE), **fields)  # type: ignore[arg-type]


@pytest.fixture
def own_engine(
    request: pytest.FixtureRequest, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DockerEngine]:
    """One that the test may stop; the one for all says whether there can be one."""
    engine = DockerEngine(*request.param)
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    yield engine
    engine.close()


RESTORING = pytest.mark.parametrize("own_engine", [("--live-restore",)], indirect=True)
USUAL = pytest.mark.parametrize("own_engine", [()], indirect=True)


def test_user_and_folder_are_those_inside(real_engine: Real, host: TestHost) -> None:
    run(host, "id -u; id -g; pwd", user="1000:1001", cwd="/tmp")
    assert (host.ended().exit_code, host.output()) == (0, b"1000\n1001\n/tmp\n")


def test_only_the_variables_of_the_order_are_inside(
    real_engine: Real, host: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(host, "env", env={"COLOUR": "blue"})
    host.ended()
    names = {line.partition(b"=")[0].decode() for line in host.output().splitlines()}
    assert names - {"HOSTNAME", "SHLVL", "HOME", "PWD"} == {"PATH", "COLOUR", "SCHEDULER_UNIT", "SCHEDULER_ATTEMPT"}


@pytest.mark.parametrize(
    ("argv", "entrypoint", "said"),
    [
        ([], None, b"entry own"),
        (["argv"], None, b"entry argv"),
        (["argv"], ["echo", "other"], b"other argv"),
        (["echo", "alone"], [], b"alone"),
    ],
)
def test_argv_follows_the_entrypoint(
    real_engine: Real, host: TestHost, argv: list[str], entrypoint: list[str] | None, said: bytes
) -> None:
    real_engine.engine.add_image("entry:1", 'ENTRYPOINT ["echo", "entry"]', 'CMD ["own"]')
    host.run(*argv, container=InContainer(image="entry:1", entrypoint=entrypoint))
    assert (host.ended().exit_code, host.output()) == (0, said + b"\n")


def test_an_image_of_a_private_registry_needs_the_login_that_the_host_has(
    real_engine: Real, host: TestHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = real_engine.engine.publish("private:1", CLOSED_REGISTRY)
    run(host, "echo hi", InContainer(image=image))
    assert "no basic auth credentials" in host.ended().told
    auth = base64.b64encode(":".join(LOGIN).encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {CLOSED_REGISTRY: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    run(host, "echo hi", InContainer(image=image), unit="command/2")
    assert (host.ended("command/2").exit_code, host.output("command/2")) == (0, b"hi\n")


def test_one_that_takes_too_much_memory_is_killed_and_says_so(real_engine: Real, host: TestHost) -> None:
    run(host, f"{EAT}", limits=Limits(memory_mb=16))
    end = host.ended()
    assert (end.exit_code, end.told) == (137, "OOMKilled: the container ran out of memory; memory_mb is 16")
    assert end.told.encode() in host.output(stream="stderr")
    assert not real_engine.containers()


def test_the_reason_is_told_also_where_no_output_is_kept(real_engine: Real, host: TestHost) -> None:
    run(host, "true", container=InContainer(image=real_engine.unknown), output_limit_bytes=0)
    end = host.ended()
    assert (end.exit_code, host.output(stream="stderr")) == (125, b"")
    assert real_engine.unknown in end.told


def test_a_user_that_the_image_does_not_know_is_told(real_engine: Real, host: TestHost) -> None:
    run(host, "true", user="nobody-at-all")
    end = host.ended()
    assert end.exit_code == 125
    assert "unable to find user nobody-at-all" in end.told
    assert not real_engine.containers()


@pytest.mark.parametrize(("network", "links"), [("none", b"lo\n"), ("bridge", b"eth0\nlo\n")])
def test_the_network_is_the_one_asked_for(real_engine: Real, host: TestHost, network: str, links: bytes) -> None:
    run(host, "for i in /sys/class/net/*; do echo ${i##*/}; done", InContainer(image=IMAGE, network=network))
    assert (host.ended().exit_code, host.output()) == (0, links)


@pytest.mark.parametrize(("writable", "code"), [(False, 1), (True, 0)])
def test_a_mount_is_written_only_where_it_is_writable(
    real_engine: Real, tmp_path: Path, new_host: Callable[..., TestHost], writable: bool, code: int
) -> None:
    lists = "\n".join(f'[{name}]\nallow = ["{tmp_path}"]' for name in ("mounts", "writable_mounts"))
    host = new_host(policy=parse(f'[images]\nallow = ["*"]\n{lists}', os.path.realpath))
    mount = Mount(source=str(tmp_path), target="/data", writable=writable)
    run(host, "touch /data/new", InContainer(image=IMAGE, mounts=[mount]))
    assert host.ended().exit_code == code
    assert (tmp_path / "new").exists() == writable


def test_one_that_somebody_removes_is_told(real_engine: Real, host: TestHost) -> None:
    run(host, f"echo ready; {LOOP}")
    wait_until(host.output, what="its output")
    real_engine.clear()
    end = host.ended()
    assert end.exit_code in (125, 137)
    assert end.exit_code == 137 or end.told == "somebody removed the container while it ran"


@RESTORING
@pytest.mark.parametrize("leave", [DockerEngine.stop, DockerEngine.kill])
def test_a_container_goes_on_while_its_engine_is_renewed(
    own_engine: DockerEngine, new_host: Callable[..., TestHost], tmp_path: Path, leave: Callable[[DockerEngine], None]
) -> None:
    lists = "\n".join(f'[{name}]\nallow = ["{tmp_path}"]' for name in ("images", "mounts"))
    host = new_host(policy=parse(lists.replace(str(tmp_path), "*", 1), os.path.realpath))
    mount = Mount(source=str(tmp_path), target="/gates")
    wait = "until [ -e /gates/$1 ]; do sleep 0.05; done"
    script = f"set -- away; echo one; {wait}; echo two; set -- back; {wait}; echo three; exit 4"
    run(host, script, InContainer(image=IMAGE, mounts=[mount]))
    wait_until(host.output, what="its output")
    leave(own_engine)
    (tmp_path / "away").touch()
    own_engine.start()
    (tmp_path / "back").touch()
    assert (host.ended().exit_code, host.output()) == (4, b"one\ntwo\nthree\n")
    assert not Real(own_engine).containers()


@USUAL
@pytest.mark.parametrize("leave", [DockerEngine.stop, DockerEngine.kill])
def test_an_engine_that_ends_its_containers_is_said_to_have_done_so(
    own_engine: DockerEngine, host: TestHost, leave: Callable[[DockerEngine], None]
) -> None:
    run(host, f"echo ready; {LOOP}")
    wait_until(host.output, what="its output")
    leave(own_engine)
    own_engine.start()
    end = host.ended()
    assert end.exit_code not in (0, 125)
    assert "live-restore" in end.told
    wait_until(lambda: not Real(own_engine).containers(), what="the container to be removed")


@RESTORING
def test_one_that_is_cancelled_while_its_engine_is_away_is_stopped_when_it_is_back(
    own_engine: DockerEngine, new_host: Callable[..., TestHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "LOOK_EVERY_S", 0.2)
    host = new_host()
    run(host, f"echo ready; {LOOP}")
    wait_until(host.output, what="its output")
    own_engine.kill()
    host.order(StopUnit(unit="command/1", attempt=1, grace_s=1))
    assert host.ended().cancelled
    own_engine.start()
    wait_until(lambda: not Real(own_engine).containers(), what="the container to be removed")
