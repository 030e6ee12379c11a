"""The browser of the tests."""

import shutil

from tests.support.servers.base import MissingServer


def chromium_path() -> str:
    """The system's Chromium. Raises MissingServer."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise MissingServer("Chromium is missing; run: tools/test-servers")
    return path
