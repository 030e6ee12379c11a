"""What we ask of a Docker Engine, held against our twin and, where one answers, against the real one."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from workers.engine.client import STDERR, STDOUT, Engine, EngineAway, EngineError, address_of
from workers.engine.job import Job, engine_document
from workers.engine.testing import EngineTwin

REAL_IMAGE = os.environ.get("SCHEDULER_TEST_IMAGE", "busybox:latest")


@dataclass
class Rig:
    """An engine with an image that has a shell, and names for containers that are removed after the test."""

    engine: Engine
    image: str
    name: str

    def begin(self, script: str, **fields: object) -> None:
        job = Job(image=self.image, argv=["sh", "-c", script], network="none", **fields)  # type: ignore[arg-type]
        self.engine.create(self.name, engine_document(job, {"scheduler.unit": "command/1"}))
        self.engine.start(self.name)

    def output(self) -> dict[int, bytes]:
        found = {STDOUT: b"", STDERR: b""}
        for stream, piece in self.engine.logs(self.name):
            found[stream] += piece
        return found


@pytest.fixture(params=["twin", "real"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    name = f"scheduler-test-{uuid.uuid4().hex}"
    if request.param == "twin":
        with EngineTwin(tmp_path) as twin:
            twin.images.add("busybox:latest")
            yield Rig(Engine(twin.address), "busybox:latest", name)
        return
    engine = Engine(address_of())
    if not engine.answers():
        pytest.skip(f"no Docker Engine answers at {address_of()}")
    if not engine.has_image(REAL_IMAGE):
        pytest.skip(f"the engine has no image {REAL_IMAGE} (SCHEDULER_TEST_IMAGE names another)")
    yield Rig(engine, REAL_IMAGE, name)
    engine.remove(name)


def test_output_comes_apart_and_the_exit_code_is_kept(rig: Rig) -> None:
    rig.begin("echo out; echo oh >&2; printf '\\377\\000'; exit 7")
    assert rig.output() == {STDOUT: b"out\n\xff\0", STDERR: b"oh\n"}
    rig.engine.wait(rig.name)
    state = rig.engine.state(rig.name)
    assert (state["Running"], state["ExitCode"], state["OOMKilled"]) == (False, 7, False)


def test_output_is_told_from_the_start_each_time(rig: Rig) -> None:
    rig.begin("echo once")
    assert rig.output() == rig.output() == {STDOUT: b"once\n", STDERR: b""}


def test_variables_are_those_given(rig: Rig) -> None:
    rig.begin("echo $COLOUR", env={"COLOUR": "a=b"})
    assert rig.output()[STDOUT] == b"a=b\n"


def test_stop_asks_first_and_kills_after_the_grace(rig: Rig) -> None:
    rig.begin("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    next(rig.engine.logs(rig.name))
    rig.engine.stop(rig.name, 5)
    assert rig.engine.state(rig.name)["ExitCode"] == 3


def test_one_that_does_not_listen_is_killed(rig: Rig) -> None:
    rig.begin("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    next(rig.engine.logs(rig.name))
    rig.engine.stop(rig.name, 1)
    assert rig.engine.state(rig.name)["ExitCode"] == 137


def test_a_name_is_used_once(rig: Rig) -> None:
    rig.begin("true")
    with pytest.raises(EngineError, match="already in use") as caught:
        rig.begin("true")
    assert caught.value.status == 409


def test_what_is_removed_is_gone_and_may_be_removed_again(rig: Rig) -> None:
    rig.begin("sleep 60")
    rig.engine.remove(rig.name)
    rig.engine.remove(rig.name)
    with pytest.raises(EngineError) as caught:
        rig.engine.state(rig.name)
    assert caught.value.status == 404


def test_a_program_that_is_not_there_is_told(rig: Rig) -> None:
    job = Job(image=rig.image, argv=["/no/such/program"], network="none")
    rig.engine.create(rig.name, engine_document(job, {}))
    with pytest.raises(EngineError, match="no/such/program"):
        rig.engine.start(rig.name)


def test_images_are_known_or_not(rig: Rig) -> None:
    assert rig.engine.has_image(rig.image)
    assert not rig.engine.has_image("scheduler/no-such-image:1")


def test_an_engine_that_is_not_there_is_away(tmp_path: Path) -> None:
    for address in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:1"):
        assert not Engine(address).answers()
        with pytest.raises(EngineAway, match="does not answer"):
            Engine(address).start("x")
