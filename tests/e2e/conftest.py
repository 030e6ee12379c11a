"""One running system for all tests of a file that only look at it or add to it; a browser in a web process."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser

from scheduler_project.up import ports
from tests.support.processes import Processes
from tests.support.site import NAME, PASSWORD, Site
from tests.support.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`manage.py up`, ready, with the demo."""
    yield from running_system(tmp_path_factory.mktemp("up") / "data")


@pytest.fixture
def site(processes: Processes, database_url: str, browser: Browser) -> Iterator[Site]:
    """A web process on the test's database, and an admin's browser in it."""
    User.objects.create_superuser(NAME, password=PASSWORD)
    port = ports.choose(0, set())
    web = ["-m", "uvicorn", "scheduler_project.asgi:application", "--port", str(port)]
    process = processes.python(*web, DATABASE_URL=database_url, DJANGO_SETTINGS_MODULE="tests.settings")
    process.wait_for_line("Uvicorn running")
    page = browser.new_page()
    opened = Site(process, f"http://127.0.0.1:{port}", page)
    opened.watch()
    opened.log_in()
    yield opened
    page.close()
    assert opened.faults == []
