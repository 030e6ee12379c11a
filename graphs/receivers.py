"""What the app does on news from the ground. Whatever is missed here is found by the sweep."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from graphs import store
from workers.models import Command

OWNER_PREFIX = "component/"


def on_commands_ended(sender: Any, commands: Sequence[Command], **_: Any) -> None:
    """Settles the components that these commands carried out."""
    ours = [command for command in commands if command.owner.startswith(OWNER_PREFIX)]
    if ours:
        store.settle_commands(ours, timezone.now())
