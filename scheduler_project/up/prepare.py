"""Makes the database ready for use: tables, roles, the first users and the operator's token file."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import yaml
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone

from scheduler_project.models import ApiToken
from scheduler_project.toolkit import access
from scheduler_project.toolkit.files import write_private
from scheduler_project.up.errors import ServerUnreachable
from workers import store
from workers.core.enrolment import token_text
from workers.models import JoinToken

ADMIN_NAME = "admin"
GUEST_NAME = "guest"
TOKEN_NAME = "schedctl of manage.py up"  # noqa: S105
SCHEDCTL_FILE_NAME = "schedctl.yaml"
ANY_HOST = ""
JOIN_TOKENS_MADE_BY = "manage.py up"
JOIN_TOKENS_LIFE = timedelta(days=3650)
JOIN_TOKENS_USES = 1000


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


def make_join_tokens(hosts: Sequence[str], secret_key: str) -> dict[str, str]:
    """A join token for each host, and under the empty name one for further hosts, in place of those made before.

    `secret_key` is that of the control processes; this process may have been started with another.
    """
    JoinToken.objects.filter(made_by=JOIN_TOKENS_MADE_BY).delete()
    return {host: str(token_text(secret_key, _token_id(host))) for host in (*hosts, ANY_HOST)}


def _token_id(host: str) -> str:
    return store.make_token(host, JOIN_TOKENS_LIFE, JOIN_TOKENS_USES, timezone.now(), JOIN_TOKENS_MADE_BY)[0].id


def read_token(path: Path) -> str | None:
    """The token of an earlier run; None where the file is missing or not ours."""
    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return None
    token = config.get("token") if isinstance(config, dict) else None
    return token if isinstance(token, str) else None
