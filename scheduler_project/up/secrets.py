"""Secrets that `up` makes on the first run and keeps in a file only the owner can read."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from scheduler_project.toolkit.files import write_private

FILE_NAME = "secrets.json"


@dataclass(frozen=True)
class Secrets:
    """What the processes of one data folder share. Never logged, never on a command line."""

    secret_key: str
    broker_password: str
    flower_password: str


def load_or_create(folder: Path) -> Secrets:
    """The folder's secrets; made at the first call."""
    path = folder / FILE_NAME
    if path.exists():
        return Secrets(**json.loads(path.read_text()))
    made = Secrets(
        secret_key=secrets.token_urlsafe(50),
        broker_password=secrets.token_urlsafe(24),
        flower_password=secrets.token_urlsafe(12),
    )
    write_private(path, json.dumps(asdict(made)))
    return made
