"""The table of go-schedule's faults names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TABLE = ROOT / "docs/explanation/go-schedule.md"
ROWS = [
    line for line in TABLE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| go-schedule")
]


def names(row: str) -> list[str]:
    return re.findall(r"`(test_\w+)`", row)


def test_all_faults_are_there_and_each_has_a_test() -> None:
    assert len(ROWS) == 22
    assert all(names(row) for row in ROWS)


@pytest.fixture(scope="module")
def defined() -> set[str]:
    """The names of all tests."""
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^def (test_\w+)\(", source, re.MULTILINE)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_the_tests_of_the_table_exist(row: str, defined: set[str]) -> None:
    assert set(names(row)) <= defined
