"""A host with a real agent and a real supervisor."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agents import TestHost
from tests.support.engines import AnyEngine, Real, Twin
from tests.support.servers import DockerEngine
from workers.agent import link
from workers.engine.testing import EngineTwin


@pytest.fixture(autouse=True)
def measured_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor's lines are counted too where this run measures coverage."""
    measuring = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    plain = link.supervisor_environment
    monkeypatch.setattr(link, "supervisor_environment", lambda: plain() | measuring)


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[Callable[..., TestHost]]:
    """Makes hosts with settings of their own; they start here and end with the test."""
    made: list[TestHost] = []

    def make(**settings: object) -> TestHost:
        host = TestHost(tmp_path / f"host-{len(made)}", **settings)
        made.append(host)
        host.start()
        return host

    yield make
    for host in made:
        host.close()
        assert not host.fatal


@pytest.fixture
def host(new_host: Callable[..., TestHost]) -> TestHost:
    """A host as it is without settings."""
    return new_host()


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineTwin]:
    """The twin of the Docker Engine, as the engine of this host."""
    with EngineTwin(tmp_path) as twin:
        monkeypatch.setenv("DOCKER_HOST", twin.address)
        yield twin


@pytest.fixture
def real_engine(docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    """A real Docker Engine, as the engine of this host; without containers at first."""
    real = Real(docker_engine)
    monkeypatch.setenv("DOCKER_HOST", real.address)
    yield real
    real.clear()


@pytest.fixture(params=["twin", "real_engine"])
def engine(request: pytest.FixtureRequest) -> AnyEngine:
    """Each of both."""
    found = request.getfixturevalue(request.param)
    return Twin(found) if request.param == "twin" else found
