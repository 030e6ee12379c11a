"""Django's system checks of the app: every configured provider is usable."""

from typing import Any

from django.core.checks import CheckMessage, Error

from graphs.providers import DEFAULT_ALIAS, aliases, provider
from scheduler_project.toolkit.errors import ConfigurationError


def check_providers(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """`graphs.E001` for a provider that cannot be made, `graphs.E002` where the default one is missing."""
    messages: list[CheckMessage] = []
    for alias in aliases():
        try:
            messages += provider(alias).check()
        except ConfigurationError as error:
            messages.append(Error(str(error), hint="Correct the setting GRAPH_PROVIDERS.", id="graphs.E001"))
    if DEFAULT_ALIAS not in aliases():
        hint = "Components whose _provider is no alias go to it."
        messages.append(Error(f"GRAPH_PROVIDERS has no {DEFAULT_ALIAS!r}.", hint=hint, id="graphs.E002"))
    return messages
