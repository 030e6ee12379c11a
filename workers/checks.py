"""Checks of the app's settings for `manage.py check`.

Invariant: a setting that would fail at the first command is told at start, with what may be written instead.
"""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from workers.core.placement import SCORERS


@register()
def check_placement(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """`SCHEDULER_PLACEMENT` names a scorer."""
    if settings.SCHEDULER_PLACEMENT in SCORERS:
        return []
    names = ", ".join(sorted(SCORERS))
    message = f"SCHEDULER_PLACEMENT={settings.SCHEDULER_PLACEMENT!r} is not known"
    return [Error(message, hint=f"Use one of: {names}.", id="workers.E001")]
