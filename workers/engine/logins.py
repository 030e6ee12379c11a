"""Logins at registries, from the file `config.json` that `docker login` writes.

Invariant: a login is told to the engine for images of its own registry alone, and never shown.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER_VARIABLE = "DOCKER_CONFIG"
HUB = "docker.io"
HUB_NAMES = (HUB, "index.docker.io", "registry-1.docker.io")


class UnreadableLogins(Exception):
    """The file cannot be read or understood."""


def login_for(image: str, folder: str) -> str:
    """The engine's header `X-Registry-Auth` for an image; empty where its registry needs none or no folder is named.

    Raises UnreadableLogins.
    """
    if not folder:
        return ""
    file = Path(folder, "config.json")
    try:
        logins = json.loads(file.read_text()).get("auths", {})
        found = next((each for name, each in logins.items() if registry_named(name) == registry_of(image)), None)
        return "" if not found else _header(found, registry_of(image))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UnreadableLogins(f"{file} cannot be read: {type(error).__name__}") from error


def registry_of(image: str) -> str:
    """The registry that an image's name says; Docker's own where it says none."""
    first, slash, _ = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return registry_named(first) if is_host else HUB


def registry_named(name: str) -> str:
    """A registry's host and port, of a key of the file such as `https://index.docker.io/v1/`."""
    host = name.rpartition("//")[2].partition("/")[0]
    return HUB if host in HUB_NAMES else host


def _header(login: Mapping[str, Any], registry: str) -> str:
    user, _, password = base64.b64decode(login.get("auth", ""), validate=True).decode().partition(":")
    told = {"username": user, "password": password.rstrip("\0"), "serveraddress": registry}
    if login.get("identitytoken"):
        told = {"identitytoken": login["identitytoken"], "serveraddress": registry}
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
