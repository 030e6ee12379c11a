"""What the engine is told of a container."""

import pytest

from workers.engine.client import split_image
from workers.engine.job import Job, container_name, decode, engine_document


def test_a_job_arrives_as_it_was_sent() -> None:
    job = Job(image="a:1", argv=["x"], env={"A": "1"}, mounts=[("/a", "/b", True)], cpus=0.5)
    assert engine_document(decode(job.encode()), {}) == engine_document(job, {})


def test_without_argv_the_image_s_own_command_runs() -> None:
    assert "Cmd" not in engine_document(Job(image="a:1"), {})


def test_limits_are_the_engine_s_units_and_swap_is_no_way_around_them() -> None:
    host = engine_document(Job(image="a:1", cpus=0.5, memory_mb=64), {})["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (500_000_000, 67_108_864, 67_108_864)


def test_mounts_are_read_only_unless_they_are_writable() -> None:
    mounts = [("/a", "/b", False), ("/c", "/d", True)]
    made = engine_document(Job(image="a:1", mounts=mounts), {})["HostConfig"]["Mounts"]
    assert [(each["Source"], each["Target"], each["ReadOnly"]) for each in made] == [
        ("/a", "/b", True),
        ("/c", "/d", False),
    ]


def test_a_process_has_one_container_and_another_has_another() -> None:
    assert container_name("/a/units/1") == container_name("/a/units/1") != container_name("/b/units/1")


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("alpine", ("alpine", "latest")),
        ("alpine:3.20", ("alpine", "3.20")),
        ("registry:5000/tools/sync", ("registry:5000/tools/sync", "latest")),
        ("registry:5000/tools/sync:1", ("registry:5000/tools/sync", "1")),
        ("a/b@sha256:00", ("a/b", "sha256:00")),
    ],
)
def test_an_image_s_name_and_tag_are_told_apart(image: str, parts: tuple[str, str]) -> None:
    assert split_image(image) == parts
