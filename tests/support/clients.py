"""Clients of the API that are logged in."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client


def client_of(role: str, **fields: Any) -> Client:
    """A new user of that name and role, with further fields of the user."""
    user = User.objects.create_user(role, **fields)
    user.groups.add(Group.objects.get_or_create(name=role)[0])
    client = Client()
    client.force_login(user)
    return client
