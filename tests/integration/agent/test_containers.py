"""Commands in containers, through a real agent and supervisor, with the engine's twin and with a real engine."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agents import TestHost
from tests.support.engines import AnyEngine
from tests.support.wait import wait_until
from workers.agent import containers
from workers.agent.core.policy import Policy, parse
from workers.engine.testing import EngineTwin
from workers.protocol import InContainer, Mount, Started, StopUnit

IMAGE = "tools:1"
LOOP = "while :; do sleep 0.1; done"


def run(host: TestHost, *argv: str, container: InContainer | None = None, **fields: object) -> None:
    host.run(*argv, container=container or InContainer(image=IMAGE), **fields)  # type: ignore[arg-type]


def mounting(source: Path | str, target: Path | str = "/data", writable: bool = False) -> InContainer:
    return InContainer(image=IMAGE, mounts=[Mount(source=str(source), target=str(target), writable=writable)])


def listing(folder: Path) -> Policy:
    """A policy that lets a folder be mounted and written."""
    lists = (f'[{name}]\nallow = ["{folder}"]' for name in ("mounts", "writable_mounts"))
    return parse("\n".join(['[images]\nallow = ["*"]', *lists]), os.path.realpath)


def test_a_host_says_that_it_has_an_engine(engine: AnyEngine, host: TestHost) -> None:
    assert "docker" in wait_until(lambda: host.control.heartbeats, what="a heartbeat")[0].facts["executors"]


def test_a_host_without_an_engine_does_not_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_host: Callable[..., TestHost]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    host = new_host()
    assert wait_until(lambda: host.control.heartbeats, what="a heartbeat")[0].facts["executors"] == ["bash"]


def test_a_host_whose_engine_goes_and_comes_back_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_host: Callable[..., TestHost]
) -> None:
    monkeypatch.setattr(containers, "LOOK_EVERY_S", 0.1)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    host = new_host()

    def wait_for(executors: list[str]) -> None:
        wait_until(lambda: executors in [beat.facts["executors"] for beat in host.control.heartbeats[-1:]])

    for _ in range(2):
        with EngineTwin(tmp_path):
            wait_for(["bash", "docker"])
        (tmp_path / "engine.sock").unlink()
        wait_for(["bash"])


def test_output_and_exit_code_are_the_container_s_and_nothing_is_left(engine: AnyEngine, host: TestHost) -> None:
    run(host, "sh", "-c", "echo $COLOUR; echo oh >&2; exit 7", env={"COLOUR": "blue"})
    end = host.ended()
    assert (end.exit_code, end.signal, end.usage) == (7, None, None)
    assert (host.output(), host.output(stream="stderr")) == (b"blue\n", b"oh\n")
    assert not engine.containers()


def test_a_container_is_known_by_its_labels(engine: AnyEngine, host: TestHost) -> None:
    run(host, "sh", "-c", LOOP)
    (container,) = wait_until(engine.containers, what="the container")
    labels = engine.labels(container)
    assert (labels["scheduler.unit"], labels["scheduler.attempt"]) == ("command/1", "1")


def test_megabytes_of_any_bytes_arrive_right(engine: AnyEngine, host: TestHost) -> None:
    run(host, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' '\\377'", output_limit_bytes=4_000_000)
    host.ended()
    assert host.output() == b"\xff" * 3_000_000


def test_nothing_of_the_order_is_in_the_runner_s_argv_or_environment(engine: AnyEngine, host: TestHost) -> None:
    run(host, "sh", "-c", LOOP, env={"TOKEN": "hush-hush"})
    pid = host.wait_for(Started).pid
    wait_until(engine.containers, what="the container")
    for part in ("cmdline", "environ"):
        assert b"hush-hush" not in Path(f"/proc/{pid}/{part}").read_bytes()


def test_cancel_stops_the_container_within_the_grace(engine: AnyEngine, host: TestHost) -> None:
    run(host, "sh", "-c", f"trap 'echo bye; exit 0' TERM; echo ready; {LOOP}")
    wait_until(host.output, what="its output")
    host.order(StopUnit(unit="command/1", attempt=1, grace_s=10))
    end = host.ended()
    assert (end.cancelled, end.exit_code, host.output()) == (True, 0, b"ready\nbye\n")
    assert not engine.containers()


def test_after_its_timeout_one_that_does_not_listen_is_killed(engine: AnyEngine, host: TestHost) -> None:
    run(host, "sh", "-c", f"trap '' TERM; echo ready; {LOOP}", timeout_s=4, grace_s=2)
    end = host.ended()
    assert (end.timed_out, end.exit_code) == (True, 137)
    assert not engine.containers()


def test_an_agent_that_was_away_finds_the_container_again(
    engine: AnyEngine, tmp_path: Path, new_host: Callable[..., TestHost]
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    host = new_host(policy=listing(shared))
    script = f"echo one >>{shared}/ran; echo one; until [ -e {shared}/gate ]; do sleep 0.05; done; echo two; exit 4"
    run(host, "sh", "-c", script, container=mounting(shared, shared, writable=True))
    wait_until(host.output, what="its first output")
    host.stop()
    (shared / "gate").touch()
    host.start()
    assert host.ended().exit_code == 4
    assert host.output() == b"one\ntwo\n"
    assert (shared / "ran").read_text() == "one\n"


def test_output_is_written_once_though_the_connection_breaks(twin: EngineTwin, host: TestHost) -> None:
    twin.images.add(IMAGE)
    twin.break_connections(2)
    run(host, "sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.1; done; exit 5")
    assert host.ended().exit_code == 5
    assert host.output() == b"1\n2\n3\n4\n"


def test_the_container_of_a_runner_that_was_killed_is_removed(engine: AnyEngine, host: TestHost) -> None:
    run(host, "sh", "-c", f"echo ready; {LOOP}")
    wait_until(host.output, what="its output")
    os.kill(host.wait_for(Started).pid, signal.SIGKILL)
    assert host.ended().signal == signal.SIGKILL
    wait_until(lambda: not engine.containers(), what="the container to be removed")


@pytest.mark.parametrize("pull", ["missing", "always"])
def test_an_image_that_is_not_there_is_pulled(engine: AnyEngine, host: TestHost, pull: str) -> None:
    run(host, "echo", "hi", container=InContainer(image=engine.publish(f"fresh-{pull}:2"), pull=pull))
    assert (host.ended().exit_code, host.output()) == (0, b"hi\n")


def test_an_image_that_is_nowhere_is_told(engine: AnyEngine, host: TestHost) -> None:
    run(host, "true", container=InContainer(image=engine.unknown))
    assert host.ended().exit_code == 125
    assert engine.unknown.encode() in host.output(stream="stderr")
    assert not engine.containers()


def test_an_image_that_may_not_be_pulled_is_told(engine: AnyEngine, host: TestHost) -> None:
    run(host, "true", container=InContainer(image=engine.publish("never:2"), pull="never"))
    assert host.ended().exit_code == 125
    assert b"No such image: " in host.output(stream="stderr")


def test_no_folder_of_the_host_is_mounted_unless_its_policy_lists_it(engine: AnyEngine, host: TestHost) -> None:
    run(host, "true", container=mounting("/etc"))
    end = host.ended()
    assert end.start_error_kind == "not allowed"
    assert "mount of /etc needs a section [mounts]" in end.start_error
    assert not engine.containers()


@pytest.mark.parametrize("user", ["", "root", "0", "00:1000"])
def test_no_container_runs_as_root_where_the_policy_denies_it(
    twin: EngineTwin, new_host: Callable[..., TestHost], user: str
) -> None:
    text = '[images]\nallow = ["*"]\n[users]\nallow = ["*"]\ndeny = ["root"]'
    host = new_host(policy=parse(text, os.path.realpath))
    run(host, "true", user=user)
    assert "user root is denied" in host.ended().start_error
    assert not twin.containers


def test_a_listed_folder_is_mounted_without_links(
    engine: AnyEngine, tmp_path: Path, new_host: Callable[..., TestHost]
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("seen")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    host = new_host(policy=listing(tmp_path / "real"))
    run(host, "cat", f"{tmp_path}/real/file", container=mounting(tmp_path / "link", tmp_path / "real"))
    assert (host.ended().exit_code, host.output()) == (0, b"seen")
