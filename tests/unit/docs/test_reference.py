"""The reference pages are complete: dependencies, words and links."""

import re
import tomllib
from pathlib import Path

import django.apps
import pytest

from tests.support.processes import ROOT

CODE = ("scheduler_project", "workers", "graphs", "clusters", "topologies", "schedctl")
OTHER_SYSTEMS_WORDS = {"Job", "Workflow", "Node", "Connector", "Allocation", "Pod", "Driver", "Step"}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests/README.md"])


def source_text() -> str:
    return "\n".join(path.read_text() for folder in CODE for path in (ROOT / folder).rglob("*.py"))


def test_every_dependency_has_a_line_that_says_why() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked_for = project["dependencies"] + project["optional-dependencies"]["dev"]
    page = (ROOT / "docs/dependencies.md").read_text()
    rows = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| "))
    named = {word.lower() for word in re.findall(r"[\w.-]+", rows)}
    names = {re.split(r"[^\w.-]", one)[0].lower() for one in asked_for}
    assert not names - named


def test_models_are_named_by_our_own_words() -> None:
    ours = [model for model in django.apps.apps.get_models() if model.__module__.startswith(CODE)]
    assert ours
    assert not OTHER_SYSTEMS_WORDS & {model.__name__ for model in ours}


def test_every_word_of_the_glossary_is_in_use() -> None:
    page = (ROOT / "docs/reference/glossary.md").read_text()
    words = [word.strip() for row in re.findall(r"(?m)^\| ([a-z, ]+) \|", page) for word in row.split(",")]
    words.remove("word")
    text = source_text().lower().replace("_", " ")
    assert len(words) == len(set(words)), "a word has two meanings"
    assert not [word for word in words if word not in text]


def test_every_metric_has_a_line_on_its_page() -> None:
    told = set(re.findall(r'"(scheduler_[a-z_]+)"', (ROOT / "scheduler_project/metrics.py").read_text()))
    rows = re.findall(r"(?m)^\| `(\w+)`", (ROOT / "docs/reference/metrics.md").read_text())
    assert told == {name.removesuffix("_total") for name in rows}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]
