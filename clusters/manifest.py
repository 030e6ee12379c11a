"""The app's part in applying files; see `scheduler_project.manifest`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clusters import loading, store
from clusters.core import desired
from clusters.core.grammar import bare_key
from scheduler_project.toolkit.changes import Change

__all__ = ["KEYS", "apply", "bare_key", "plan"]

KEYS = ("clusters", "services", "deployments", "tasks", "task_definitions")


def plan(document: Mapping[str, Any], now: datetime) -> list[Change]:
    """What applying the document means, object by object."""
    wanted = desired.read(document)
    return desired.plan(wanted, loading.known_for(wanted))


def apply(changes: list[Change], now: datetime, actor: str) -> None:
    """Writes a plan without refusals, in the caller's transaction."""
    store.apply_changes(changes, now, actor)
