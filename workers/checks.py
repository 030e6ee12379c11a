"""Checks of the app's settings for `manage.py check`.

Invariant: a setting that would fail at the first command is told at start, with what may be written instead.
"""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from scheduler_project.toolkit.errors import ConfigurationError
from workers.placement import aliases, scorer


@register()
def check_placement(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Every placement can be made, and `SCHEDULER_PLACEMENT` names one."""
    messages: list[CheckMessage] = []
    if settings.SCHEDULER_PLACEMENT not in aliases():
        message = f"SCHEDULER_PLACEMENT={settings.SCHEDULER_PLACEMENT!r} is not known"
        messages.append(Error(message, hint=f"Use one of: {', '.join(aliases())}.", id="workers.E001"))
    for alias in aliases():
        try:
            scorer(alias)
        except ConfigurationError as error:
            hint = "BACKEND is the dotted path of a workers.core.scorers.Scorer, OPTIONS what it is made with."
            messages.append(Error(str(error), hint=hint, id="workers.E002"))
    return messages
