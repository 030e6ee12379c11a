"""The lock's two parts: what running needs is all in the first, and nothing of the tests is."""

import re
import tomllib

from tests.support.processes import ROOT

NAME = re.compile(r"(?m)^([\w.-]+)==")


def canonical(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-").replace(".", "-")


def parts() -> tuple[set[str], set[str]]:
    runtime, _, development = (ROOT / "requirements.lock").read_text().partition("# --- development\n")
    return set(map(canonical, NAME.findall(runtime))), set(map(canonical, NAME.findall(development)))


def test_no_package_is_locked_twice() -> None:
    runtime, development = parts()
    assert not runtime & development


def test_each_part_has_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, development = parts()
    assert set(map(canonical, project["dependencies"])) <= runtime
    assert set(map(canonical, project["optional-dependencies"]["dev"])) <= development
