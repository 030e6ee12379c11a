"""The suite's own Docker Engine: it does its work and leaves nothing behind."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.processes import Processes
from tests.support.servers import DockerEngine, MissingServer
from tests.support.servers.docker import CGROUPS, IMAGE, remove_control_groups
from tests.support.wait import wait_until
from workers.engine.client import Engine
from workers.engine.job import Job, engine_document

START = """
import signal
from tests.integration.support.test_docker_engine import begin
from tests.support.servers import DockerEngine
engine = DockerEngine()
begin(engine)
print("began", engine.folder, flush=True)
signal.pause()
"""


def begin(engine: DockerEngine) -> None:
    """Starts a container that does not end by itself."""
    client = Engine(engine.url)
    client.create("endless", engine_document(Job(image=IMAGE, argv=["sleep", "1000"]), {}))
    client.start("endless")


def processes_of(folder: Path) -> list[psutil.Process]:
    """Those with the folder in their command lines, and those in its control groups."""
    grouped = {
        int(pid) for file in CGROUPS.glob(f"**/{folder.name}/**/cgroup.procs") for pid in file.read_text().split()
    }
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid in grouped or str(folder) in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.fixture
def engine(docker_engine: DockerEngine) -> Iterator[DockerEngine]:
    """One of its own; the one for all says whether there can be one."""
    engine = DockerEngine("--live-restore")
    yield engine
    engine.close()


def test_what_runs_outlives_a_killed_engine_that_restores(engine: DockerEngine) -> None:
    begin(engine)
    engine.kill()
    assert not engine.answers()
    engine.start()
    assert Engine(engine.url).state("endless")["Running"]


def test_a_closed_engine_leaves_no_process_mount_group_or_file(docker_engine: DockerEngine) -> None:
    engine = DockerEngine()
    begin(engine)
    assert len(processes_of(engine.folder)) > 3
    engine.close()
    assert processes_of(engine.folder) == []
    assert str(engine.folder) not in Path("/proc/mounts").read_text()
    assert list(CGROUPS.glob(f"**/{engine.folder.name}")) == []
    assert not engine.folder.exists()


def test_no_process_of_it_outlives_a_killed_test_run(docker_engine: DockerEngine, processes: Processes) -> None:
    run = processes.python("-c", START)
    folder = Path(run.wait_for_line("began").split()[1])
    os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: not processes_of(folder), what="its processes to end")
    remove_control_groups(folder.name)
    shutil.rmtree(folder)


def test_a_machine_without_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingServer, match=r"dockerd.* missing; run: tools/test-servers"):
        DockerEngine()
