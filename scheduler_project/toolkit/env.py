"""Reads configuration from the environment with clear errors.

Every reader names the variable in its error, so that a wrong value is found by who set it. Where `manage.py up` has run
in this folder, the addresses that it wrote down stand in for those that the environment does not give.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from scheduler_project.toolkit.errors import ConfigurationError

LOCAL_FILE_NAME = "env"
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})
LONGEST_DAYS = 100_000


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
    if not 0 < value < float("inf"):
        raise ConfigurationError(f"{name}={word!r} is not a number of seconds above 0")
    return value


def days(name: str, default: float, environ: Mapping[str, str] = os.environ) -> float:
    """A number of days, fractions allowed; 0 has a meaning of its own to the caller."""
    word = environ.get(name)
    if word is None:
        return default
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < LONGEST_DAYS:
        raise ConfigurationError(f"{name}={word!r} is not a number of days from 0 to {LONGEST_DAYS}")
    return value


def number(name: str, default: int, environ: Mapping[str, str] = os.environ) -> int:
    """A whole number of 0 or more."""
    word = environ.get(name, str(default))
    if not (word.isascii() and word.isdecimal()):
        raise ConfigurationError(f"{name}={word!r} is not a whole number of 0 or more")
    return int(word)


def choice(name: str, default: str, allowed: Sequence[str], environ: Mapping[str, str] = os.environ) -> str:
    """One of a few words."""
    word = environ.get(name) or default
    if word not in allowed:
        raise ConfigurationError(f"{name}={word!r} is none of {', '.join(allowed)}")
    return word


def words(name: str, environ: Mapping[str, str] = os.environ) -> list[str]:
    """A comma-separated list; empty items are left out."""
    return [word.strip() for word in environ.get(name, "").split(",") if word.strip()]


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for everything that one machine keeps: SQLite, broker files, logs, agents' journals."""
    return Path(environ.get("SCHEDULER_DATA_DIR", ".scheduler")).absolute()


def effective(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment over the addresses of the `up` in the data folder, so that a worker started by hand joins it."""
    return {**local_addresses(data_dir(environ)), **environ}


def local_addresses(folder: Path) -> dict[str, str]:
    """`NAME=value` lines of the file that `up` writes; empty where there is none that we may read."""
    try:
        lines = (folder / LOCAL_FILE_NAME).read_text().splitlines()
    except OSError:
        return {}
    return {
        name: value for name, _, value in (line.partition("=") for line in lines) if name and not name.startswith("#")
    }
