"""A web process that a browser looks at."""

from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import ConsoleMessage, Page, Request, Response

from tests.support.processes import Process
from tests.support.servers import accepts

NAME = "ada"
PASSWORD = "a password for tests"


@dataclass(frozen=True)
class Web:
    """A web process, which tests may end and start again."""

    process: Process
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        """Returns once it takes requests; starts it again where it has ended."""
        if not self.process.alive:
            self.process.start()
        self.process.wait_for(lambda: accepts(self.port), what="the web process to take requests")


@dataclass
class Site:
    """A web process that a browser looks at. `faults` holds console errors, failed requests and foreign addresses."""

    process: Process
    address: str
    page: Page
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", self.on_request)
        self.page.on("response", self.on_response)

    def on_console(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.faults.append(said.text)

    def on_request(self, sent: Request) -> None:
        if not sent.url.startswith((self.address, "data:", "blob:")):
            self.faults.append(f"request to {sent.url}")

    def on_response(self, got: Response) -> None:
        if got.status >= 400:
            self.faults.append(f"{got.status} {got.url}")

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page

    def log_in_as(self, user: User) -> None:
        """The browser gets the cookie that logging in would have given it."""
        client = Client()
        client.force_login(user)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": self.address}])

    def fill_in_login(self) -> None:
        self.page.get_by_label("Name").fill(NAME)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
