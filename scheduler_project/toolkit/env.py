"""Reads configuration from the environment with clear errors.

Every reader names the variable in its error, so that a wrong value is found by who set it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from scheduler_project.toolkit.errors import ConfigurationError

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})


def flag(name: str, default: bool, environ: Mapping[str, str] = os.environ) -> bool:
    """A yes/no variable. Raises ConfigurationError for any other word."""
    word = environ.get(name)
    if word is None:
        return default
    if word.lower() in TRUE_WORDS:
        return True
    if word.lower() in FALSE_WORDS:
        return False
    raise ConfigurationError(f"{name}={word!r} is neither yes nor no; use 1 or 0")


def seconds(name: str, default: float, environ: Mapping[str, str] = os.environ) -> float:
    """A positive duration in seconds, fractions allowed."""
    word = environ.get(name)
    if word is None:
        return default
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise ConfigurationError(f"{name}={word!r} is not a number of seconds above 0")
    return value


def words(name: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """A comma-separated list; empty items are left out."""
    return [word.strip() for word in environ.get(name, "").split(",") if word.strip()]


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for everything that one machine keeps: SQLite, broker files, logs, agents' journals."""
    return Path(environ.get("SCHEDULER_DATA_DIR", ".scheduler")).absolute()
