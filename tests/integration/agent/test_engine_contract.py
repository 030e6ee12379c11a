"""What we ask of a Docker Engine, held against our twin and against a real one."""

import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.engines import AnyEngine
from workers.engine.client import STDERR, STDOUT, Engine, EngineAway, EngineError
from workers.engine.job import Job, engine_document


@dataclass
class Rig:
    """A client of an engine, and the name of the container of this test."""

    engine: Engine
    under_test: AnyEngine
    name: str

    @property
    def image(self) -> str:
        return self.under_test.image

    def create(self, *argv: str, **fields: object) -> None:
        job = Job(**{"image": self.image, "argv": list(argv), "network": "none", **fields})  # type: ignore[arg-type]
        self.engine.create(self.name, engine_document(job, {"scheduler.unit": "command/1"}))

    def begin(self, script: str, **fields: object) -> None:
        self.create("sh", "-c", script, **fields)
        self.engine.start(self.name)

    def output(self) -> dict[int, bytes]:
        """Once it has ended."""
        self.engine.wait(self.name)
        found = {STDOUT: b"", STDERR: b""}
        for stream, piece in self.engine.logs(self.name):
            found[stream] += piece
        return found


@pytest.fixture
def rig(engine: AnyEngine) -> Rig:
    return Rig(Engine(engine.address), engine, f"scheduler-test-{uuid.uuid4().hex}")


def test_output_comes_apart_and_the_exit_code_is_kept(rig: Rig) -> None:
    rig.begin("echo out; echo oh >&2; printf '\\377\\000'; exit 7")
    assert rig.output() == {STDOUT: b"out\n\xff\0", STDERR: b"oh\n"}
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
    next(rig.engine.follow(rig.name))
    rig.engine.stop(rig.name, 5)
    assert rig.engine.state(rig.name)["ExitCode"] == 3


def test_one_that_does_not_listen_is_killed(rig: Rig) -> None:
    rig.begin("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    next(rig.engine.follow(rig.name))
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
    rig.create("/no/such/program")
    rig.engine.start(rig.name)
    assert b"/no/such/program failed: No such file" in rig.output()[STDERR]
    assert rig.engine.state(rig.name)["ExitCode"] == 127


def test_images_are_known_or_not(rig: Rig) -> None:
    assert rig.engine.has_image(rig.image)
    assert not rig.engine.has_image("scheduler/no-such-image:1")


def test_an_image_is_there_once_it_is_pulled(rig: Rig) -> None:
    fresh = rig.under_test.publish("fresh:2")
    assert not rig.engine.has_image(fresh)
    rig.engine.pull(fresh)
    assert rig.engine.has_image(fresh)


def test_an_image_that_is_nowhere_is_told_by_its_name(rig: Rig) -> None:
    with pytest.raises(EngineError, match=rig.under_test.unknown):
        rig.engine.pull(rig.under_test.unknown)


def test_a_container_needs_its_image_there(rig: Rig) -> None:
    with pytest.raises(EngineError, match="No such image: scheduler/no-such-image:1") as caught:
        rig.create("true", image="scheduler/no-such-image:1")
    assert caught.value.status == 404


def test_labels_are_those_given(rig: Rig) -> None:
    rig.create("true")
    assert rig.under_test.labels(rig.name)["scheduler.unit"] == "command/1"


def test_containers_are_found_by_a_label(rig: Rig) -> None:
    rig.create("true")
    assert rig.engine.labelled("scheduler.unit", "command/1") == {rig.name: {"scheduler.unit": "command/1"}}
    assert rig.engine.labelled("scheduler.unit", "command/2") == {}


def test_what_never_started_has_no_output_and_does_not_run(rig: Rig) -> None:
    rig.create("true")
    assert rig.output() == {STDOUT: b"", STDERR: b""}
    assert list(rig.engine.follow(rig.name)) == []
    assert (rig.engine.state(rig.name)["Running"], rig.engine.state(rig.name)["ExitCode"]) == (False, 0)


def test_starting_and_stopping_once_more_changes_nothing(rig: Rig) -> None:
    rig.begin("echo once; exec sleep 60")
    rig.engine.start(rig.name)
    rig.engine.stop(rig.name, 0)
    rig.engine.stop(rig.name, 0)
    assert rig.output()[STDOUT] == b"once\n"


def test_who_follows_or_waits_is_told_when_it_is_removed(rig: Rig) -> None:
    rig.begin("echo ready; sleep 60")
    pieces = rig.engine.follow(rig.name)
    assert next(pieces) == (STDOUT, b"ready\n")
    removing = threading.Thread(target=rig.engine.remove, args=[rig.name])
    removing.start()
    assert list(pieces) == []
    removing.join()
    with pytest.raises(EngineError) as caught:
        rig.engine.state(rig.name)
    assert caught.value.status == 404


def test_an_engine_that_is_not_there_is_away(tmp_path: Path) -> None:
    for address in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:1"):
        assert not Engine(address).answers()
        with pytest.raises(EngineAway, match="does not answer"):
            Engine(address).start("x")
