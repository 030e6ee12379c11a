"""The executors of a host agent, by alias."""

import os
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module

from scheduler_project.toolkit import env
from scheduler_project.toolkit.errors import ConfigurationError
from workers.executors.base import Executor, UnusableContainer

EXECUTORS = {"bash": "workers.executors.bash.Bash", "docker": "workers.executors.docker.Docker"}


def aliases(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Dotted paths by alias: ours, and those of SCHEDULER_EXECUTORS, which may replace ours."""
    pairs = (word.partition("=") for word in env.words("SCHEDULER_EXECUTORS", environ))
    return EXECUTORS | {alias.strip(): path.strip() for alias, _, path in pairs}


def executor(alias: str) -> Executor:
    """Raises UnusableContainer for an alias that this agent does not have."""
    path = aliases().get(alias)
    if path is None:
        raise UnusableContainer(f"this host has no executor {alias!r}; it has {', '.join(sorted(aliases()))}")
    return load(path)


@lru_cache
def load(path: str) -> Executor:
    """The executor at a dotted path. Raises ConfigurationError when there is none."""
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"SCHEDULER_EXECUTORS: {path!r} cannot be loaded: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Executor)):
        raise ConfigurationError(f"SCHEDULER_EXECUTORS: {path!r} is no executor; derive it from {Executor.__module__}")
    return kind()


def available() -> list[str]:
    """The aliases that work on this host."""
    return sorted(alias for alias, path in aliases().items() if load(path).present())
