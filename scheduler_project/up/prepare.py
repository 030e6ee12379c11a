"""Makes the database ready for use: tables, roles, the first users and the operator's token file."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import yaml
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone

from scheduler_project.models import ApiToken
from scheduler_project.toolkit import access
from scheduler_project.up.errors import ServerUnreachable
from scheduler_project.up.secrets import write_private

ADMIN_NAME = "admin"
GUEST_NAME = "guest"
TOKEN_NAME = "schedctl of manage.py up"  # noqa: S105
SCHEDCTL_FILE_NAME = "schedctl.yaml"


@dataclass(frozen=True)
class Login:
    """How to log in. `password` is there only when it was made in this run: it is shown once and kept nowhere."""

    user: str
    password: str | None


def migrate() -> None:
    """Creates or upgrades the tables. Raises ServerUnreachable where the database refuses."""
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        first_line = str(error).strip().splitlines()[0]
        raise ServerUnreachable(f"DATABASE_URL: the database refuses: {first_line}") from error
    finally:
        connection.close()


def ensure_login(password: str | None, guest_password: str | None) -> Login:
    """The admin user: with the given password, or with a new random one the first time."""
    if guest_password:
        guest, _ = User.objects.get_or_create(username=GUEST_NAME)
        guest.groups.add(Group.objects.get_or_create(name="viewer")[0])
        set_password(guest, guest_password)
    admin, created = User.objects.get_or_create(username=ADMIN_NAME, defaults={"is_staff": True, "is_superuser": True})
    if password:
        set_password(admin, password)
        return Login(ADMIN_NAME, None)
    if not created and admin.has_usable_password() and admin.password:
        return Login(ADMIN_NAME, None)
    made = secrets.token_urlsafe(12)
    set_password(admin, made)
    return Login(ADMIN_NAME, made)


def set_password(user: User, password: str) -> None:
    if not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])


def ensure_token_file(folder: Path, server: str) -> Path:
    """Writes schedctl's configuration with a token that works; an old token that still works is kept."""
    path = folder / SCHEDCTL_FILE_NAME
    token = read_token(path)
    if token is None or access.user_of_token(token, timezone.now()) is None:
        token = access.new_token()
        ApiToken.objects.filter(name=TOKEN_NAME).delete()
        admin = User.objects.get(username=ADMIN_NAME)
        ApiToken.objects.create(name=TOKEN_NAME, user=admin, digest=access.digest(token), created_at=timezone.now())
    config = {"server_address": server, "connection_timeout": "10s", "token": token}
    write_private(path, yaml.safe_dump(config, sort_keys=False))
    return path


def read_token(path: Path) -> str | None:
    """The token of an earlier run; None where the file is missing or not ours."""
    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return None
    token = config.get("token") if isinstance(config, dict) else None
    return token if isinstance(token, str) else None
