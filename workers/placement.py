"""How commands are spread over workers: scorers by alias, from the setting `SCHEDULER_PLACEMENTS`.

The setting maps an alias to `{"BACKEND": "dotted.path.of.a.Scorer", "OPTIONS": {…}}`; `SCHEDULER_PLACEMENT` is the
alias in use.
"""

from django.conf import settings
from django.utils.module_loading import import_string

from scheduler_project.toolkit.errors import ConfigurationError
from workers.core.scorers import Scorer


def aliases() -> list[str]:
    """The aliases that are configured."""
    return sorted(settings.SCHEDULER_PLACEMENTS)


def scorer(alias: str = "") -> Scorer:
    """The scorer of an alias, or the one in use. Raises ConfigurationError where it cannot be made."""
    alias = alias or settings.SCHEDULER_PLACEMENT
    configured = settings.SCHEDULER_PLACEMENTS.get(alias)
    if configured is None:
        raise ConfigurationError(f"SCHEDULER_PLACEMENT={alias!r} is not known")
    try:
        made = import_string(configured["BACKEND"])(alias, **configured.get("OPTIONS", {}))
    except (ImportError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"SCHEDULER_PLACEMENTS[{alias!r}] cannot be used: {error}") from error
    if not isinstance(made, Scorer):
        raise ConfigurationError(f"SCHEDULER_PLACEMENTS[{alias!r}] is no workers.core.scorers.Scorer")
    return made
