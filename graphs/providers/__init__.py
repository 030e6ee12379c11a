"""Who carries components out: providers by alias, from the setting `GRAPH_PROVIDERS`.

The setting maps an alias to `{"BACKEND": "dotted.path.of.a.Provider", "OPTIONS": {…}}`; the option `at_once`, of every
provider, bounds how many components it carries out at the same time. A component's `_provider` that
is an alias goes to that provider; every other one goes to the alias `nats`, where it is the subject's last token.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from graphs.providers.base import Provider
from scheduler_project.toolkit.errors import ConfigurationError, Fault

DEFAULT_ALIAS = "nats"


def aliases() -> Sequence[str]:
    """The aliases that are configured."""
    return tuple(settings.GRAPH_PROVIDERS)


def alias_of(provider_token: str) -> str:
    """The alias that carries out components with this `_provider`."""
    return provider_token if provider_token in settings.GRAPH_PROVIDERS else DEFAULT_ALIAS


@lru_cache(maxsize=64)
def provider(alias: str) -> Provider:
    """The provider of an alias. Raises ConfigurationError where none is configured or it cannot be made."""
    configured = settings.GRAPH_PROVIDERS.get(alias)
    if configured is None:
        raise ConfigurationError(f"GRAPH_PROVIDERS has no {alias!r}; it has {', '.join(aliases())}")
    try:
        backend = import_string(configured["BACKEND"])
        options = dict(configured.get("OPTIONS", {}))
        at_once = int(options.pop("at_once", 0))
        made = backend(alias, **options)
    except (ImportError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"GRAPH_PROVIDERS[{alias!r}] cannot be used: {error}") from error
    if not isinstance(made, Provider):
        raise ConfigurationError(f"GRAPH_PROVIDERS[{alias!r}] is no graphs.providers.base.Provider")
    if at_once:
        made.at_once = at_once
    return made


def component_faults(provider_token: str, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
    """What is wrong with a component in the eyes of who would carry it out."""
    alias = alias_of(provider_token)
    if alias not in settings.GRAPH_PROVIDERS:
        return [Fault(f"{path}._provider", f"{provider_token!r} is none of the providers: {', '.join(aliases())}")]
    return provider(alias).faults(document, path)
