"""Commands in containers, through a real agent and supervisor and the engine's twin."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.agent.core.policy import parse
from workers.engine.testing import UNKNOWN_IMAGE, EngineTwin
from workers.protocol import InContainer, Limits, Mount, Started, StopUnit

IMAGE = "tools:1"
LOOP = "while :; do sleep 0.1; done"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineTwin]:
    with EngineTwin(tmp_path) as twin:
        twin.images.add(IMAGE)
        monkeypatch.setenv("DOCKER_HOST", twin.address)
        yield twin


def run(host: TestHost, *argv: str, container: InContainer | None = None, **fields: object) -> None:
    host.run(*argv, container=container or InContainer(image=IMAGE), **fields)  # type: ignore[arg-type]


def mounting(source: str) -> InContainer:
    return InContainer(image=IMAGE, mounts=[Mount(source=source, target="/data")])


def test_a_host_says_that_it_has_an_engine(engine: EngineTwin, host: TestHost) -> None:
    assert "docker" in wait_until(lambda: host.control.heartbeats, what="a heartbeat")[0].facts["executors"]


def test_a_host_without_an_engine_does_not_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_host: Callable[..., TestHost]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    host = new_host()
    assert wait_until(lambda: host.control.heartbeats, what="a heartbeat")[0].facts["executors"] == ["bash"]


def test_output_and_exit_code_are_the_container_s_and_nothing_is_left(engine: EngineTwin, host: TestHost) -> None:
    run(host, "sh", "-c", "echo $COLOUR; echo oh >&2; exit 7", env={"COLOUR": "blue"})
    end = host.ended()
    assert (end.exit_code, end.signal, end.usage) == (7, None, None)
    assert (host.output(), host.output(stream="stderr")) == (b"blue\n", b"oh\n")
    assert not engine.containers
    labels = engine.created[0]["Labels"]
    assert (labels["scheduler.unit"], labels["scheduler.attempt"]) == ("command/1", "1")


def test_megabytes_of_any_bytes_arrive_right(engine: EngineTwin, host: TestHost) -> None:
    run(host, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' '\\377'", output_limit_bytes=4_000_000)
    host.ended()
    assert host.output() == b"\xff" * 3_000_000


def test_nothing_of_the_order_is_in_the_runner_s_argv_or_environment(engine: EngineTwin, host: TestHost) -> None:
    run(host, "sh", "-c", LOOP, env={"TOKEN": "hush-hush"})
    pid = host.wait_for(Started).pid
    wait_until(lambda: engine.containers, what="the container")
    for part in ("cmdline", "environ"):
        assert b"hush-hush" not in Path(f"/proc/{pid}/{part}").read_bytes()


def test_cancel_stops_the_container_within_the_grace(engine: EngineTwin, host: TestHost) -> None:
    run(host, "sh", "-c", f"trap 'echo bye; exit 0' TERM; echo ready; {LOOP}")
    wait_until(host.output, what="its output")
    host.order(StopUnit(unit="command/1", attempt=1, grace_s=10))
    end = host.ended()
    assert (end.cancelled, end.exit_code, host.output()) == (True, 0, b"ready\nbye\n")
    assert not engine.containers


def test_after_its_timeout_one_that_does_not_listen_is_killed(engine: EngineTwin, host: TestHost) -> None:
    run(host, "sh", "-c", f"trap '' TERM; echo ready; {LOOP}", timeout_s=1, grace_s=2)
    end = host.ended()
    assert (end.timed_out, end.exit_code) == (True, 137)
    assert not engine.containers


def test_an_agent_that_was_away_finds_the_container_again(engine: EngineTwin, host: TestHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run(host, "sh", "-c", f"echo one; until [ -e {gate} ]; do sleep 0.05; done; echo two; exit 4")
    wait_until(host.output, what="its first output")
    host.stop()
    gate.touch()
    host.start()
    assert host.ended().exit_code == 4
    assert host.output() == b"one\ntwo\n"
    assert len(engine.created) == 1


def test_output_is_written_once_though_the_connection_breaks(engine: EngineTwin, host: TestHost) -> None:
    engine.break_connections(2)
    run(host, "sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.1; done; exit 5")
    assert host.ended().exit_code == 5
    assert host.output() == b"1\n2\n3\n4\n"


def test_the_container_of_a_runner_that_was_killed_is_removed(engine: EngineTwin, host: TestHost) -> None:
    run(host, "sh", "-c", f"echo ready; {LOOP}")
    wait_until(host.output, what="its output")
    os.kill(host.wait_for(Started).pid, signal.SIGKILL)
    assert host.ended().signal == signal.SIGKILL
    wait_until(lambda: not engine.containers, what="the container to be removed")


def test_an_image_that_is_not_there_is_pulled(engine: EngineTwin, host: TestHost) -> None:
    run(host, "true", container=InContainer(image="fresh:2"))
    assert host.ended().exit_code == 0
    assert engine.pulled == ["fresh:2"]


@pytest.mark.parametrize(
    ("container", "told"),
    [
        (InContainer(image=UNKNOWN_IMAGE), b"pull access denied"),
        (InContainer(image="fresh:2", pull="never"), b"No such image: fresh:2"),
    ],
)
def test_what_the_engine_refuses_is_told(
    engine: EngineTwin, host: TestHost, container: InContainer, told: bytes
) -> None:
    run(host, "true", container=container)
    assert host.ended().exit_code == 125
    assert told in host.output(stream="stderr")


def test_limits_user_and_folder_are_those_of_the_container(engine: EngineTwin, host: TestHost) -> None:
    run(host, "true", user="1000:1000", cwd="/tmp", limits=Limits(memory_mb=64))
    host.ended()
    (made,) = engine.created
    assert (made["User"], made["WorkingDir"], made["HostConfig"]["Memory"]) == ("1000:1000", "/tmp", 64 * 1024 * 1024)


def test_no_folder_of_the_host_is_mounted_unless_its_policy_lists_it(engine: EngineTwin, host: TestHost) -> None:
    run(host, "true", container=mounting("/etc"))
    end = host.ended()
    assert end.start_error_kind == "not allowed"
    assert "mount of /etc needs a section [mounts]" in end.start_error
    assert not engine.created


def test_a_listed_folder_is_mounted_without_links_and_read_only(
    engine: EngineTwin, tmp_path: Path, new_host: Callable[..., TestHost]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    text = f'[images]\nallow = ["tools:*"]\n[mounts]\nallow = ["{tmp_path}/real"]'
    host = new_host(policy=parse(text, os.path.realpath))
    run(host, "true", container=mounting(f"{tmp_path}/link"))
    assert host.ended().exit_code == 0
    expected = {"Type": "bind", "Source": f"{tmp_path}/real", "Target": "/data", "ReadOnly": True}
    assert engine.created[0]["HostConfig"]["Mounts"] == [expected]
