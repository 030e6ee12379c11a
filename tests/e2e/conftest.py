"""One running system for all tests of a file that only look at it or add to it."""

from collections.abc import Iterator

import pytest

from tests.support.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`manage.py up`, ready, with the demo."""
    yield from running_system(tmp_path_factory.mktemp("up") / "data")
