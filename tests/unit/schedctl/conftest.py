"""schedctl run in-process against the twin, away from the machine's own configuration."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from schedctl.main import cli
from tests.support.scheduler_twin import Twin

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("schedctl.config.SEARCHED", ("./.scheduler/schedctl.yaml",))
    for name in ("SCHEDCTL_SERVER", "SCHEDCTL_TOKEN", "SCHEDCTL_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def twin() -> Iterator[Twin]:
    with Twin().running() as running:
        yield running


@pytest.fixture
def schedctl(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line that talks to the twin."""
    monkeypatch.setenv("SCHEDCTL_SERVER", twin.url)

    def run(*words: str, stdin: bytes | None = None, **extra: Any) -> Result:
        return CliRunner().invoke(cli, list(words), input=stdin, prog_name="schedctl", **extra)

    return run
