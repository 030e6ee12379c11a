"""The compose file as data, so that tests can start what it names without a container engine.

Invariant: commands, variables and health checks are taken from the file; only addresses, ports and folders of the
containers are replaced by those of the test.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import ROOT

COMPOSE_FILE = ROOT / "docker-compose.yml"
EXAMPLE_FILE = ROOT / ".env.example"
INNERMOST = re.compile(r"\$\{(\w+)(?::([-?])([^${}]*))?\}")


class MissingValue(Exception):
    """A value that the compose file requires is not given."""


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """Compose's `${NAME}`, `${NAME:-default}` and `${NAME:?message}`, nested ones from the inside."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if values.get(name):
            return values[name]
        if kind == "?":
            raise MissingValue(f"{name}: {rest}")
        return rest or ""

    while (replaced := INNERMOST.sub(value, text)) != text:
        text = replaced
    return text


def load(values: Mapping[str, str]) -> dict[str, Any]:
    """The whole file. Raises MissingValue."""
    loaded: dict[str, Any] = yaml.safe_load(interpolate(COMPOSE_FILE.read_text(), values))
    return loaded


def example_names() -> set[str]:
    """The values that `.env.example` asks for or offers."""
    return set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE_FILE.read_text(), re.MULTILINE))


@dataclass(frozen=True)
class Adapted:
    """A service of the file with the test's addresses in place of the containers'."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    health: list[str]


def adapt(name: str, service: Mapping[str, Any], words: Mapping[str, str], variables: Mapping[str, str]) -> Adapted:
    """`words` are replaced wherever they occur in commands and values; `variables` replace values of the same name."""

    def replaced(text: str) -> str:
        for old, new in words.items():
            text = text.replace(old, new)
        return text

    given = {key: str(value) for key, value in (service.get("environment") or {}).items()}
    environment = {key: variables.get(key, replaced(value)) for key, value in given.items()}
    test = service.get("healthcheck", {}).get("test", [])
    health = ["sh", "-c", test[1]] if test[:1] == ["CMD-SHELL"] else test[1:]
    return Adapted(
        name, [replaced(word) for word in service["command"]], environment, [replaced(word) for word in health]
    )


def folder(root: Path, name: str) -> Path:
    """A folder of the test for one service."""
    made = root / name
    made.mkdir(parents=True, exist_ok=True)
    return made
