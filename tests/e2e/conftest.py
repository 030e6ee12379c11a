"""One running system, or one web process that a browser looks at, for all tests of a file."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser

from scheduler_project.up import ports
from tests.support.database import database_address
from tests.support.processes import Processes
from tests.support.site import NAME, PASSWORD, Site, Web
from tests.support.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`manage.py up`, ready, with the demo."""
    yield from running_system(tmp_path_factory.mktemp("up") / "data")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Web]:
    """A web process for all tests of a file, which have one database: each empties it when it is over."""
    started = Processes(tmp_path_factory.mktemp("web"))
    port = ports.choose(0, set())
    argv = ["-m", "uvicorn", "scheduler_project.asgi:application", "--port", str(port)]
    process = started.python(*argv, DATABASE_URL=database_address(), DJANGO_SETTINGS_MODULE="tests.settings")
    yield Web(process, port)
    started.stop_all()


@pytest.fixture
def site(web: Web, database_url: str, browser: Browser) -> Iterator[Site]:
    """The web process, also where a test before has ended it, and an admin's browser in it."""
    admin = User.objects.create_superuser(NAME, password=PASSWORD)
    web.wait_ready()
    page = browser.new_page()
    opened = Site(web.process, web.address, page)
    opened.watch()
    opened.log_in_as(admin)
    yield opened
    page.context.close()
    assert opened.faults == []
