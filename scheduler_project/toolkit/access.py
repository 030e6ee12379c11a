"""Who may do what: three roles, asked in one place.

A viewer reads, an operator also acts, an admin also manages users, tokens and workers. Roles are Django groups of the
same names; a superuser is an admin.
"""

import hashlib
import secrets
from datetime import datetime
from enum import IntEnum
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin
from django.http import HttpRequest

from scheduler_project.toolkit.errors import Denied, Unauthenticated

TOKEN_PREFIX = "sch_"  # noqa: S105


class Role(IntEnum):
    """Ordered: each role may do what the ones before it may."""

    NONE = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


def role_of(user: AbstractBaseUser | AnonymousUser) -> Role:
    """The highest role of an active user."""
    if not user.is_authenticated or not user.is_active:
        return Role.NONE
    if not isinstance(user, PermissionsMixin):
        return Role.NONE
    if user.is_superuser:
        return Role.ADMIN
    names = {name.upper() for name in user.groups.values_list("name", flat=True)}
    return max((role for role in Role if role.name in names), default=Role.NONE)


def require(request: HttpRequest, role: Role) -> None:
    """Raises Unauthenticated or Denied unless the request's user has at least this role."""
    held = role_of(request.user)
    if held >= role:
        return
    if not request.user.is_authenticated:
        raise Unauthenticated
    raise Denied(f"this needs the role {role.name.lower()}; yours is {held.name.lower()}. Ask an admin for it")


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """A random API token; its prefix lets scanners of leaked secrets find it."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def user_of_token(token: str, now: datetime) -> Any | None:
    """The active user who owns this unexpired token, else None."""
    from scheduler_project.models import ApiToken

    found = ApiToken.objects.select_related("user").filter(digest=digest(token), user__is_active=True).first()
    if found is None or (found.expires_at is not None and found.expires_at <= now):
        return None
    return found.user
