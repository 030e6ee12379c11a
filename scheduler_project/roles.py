"""The groups behind the three roles and what each may do in the admin.

Invariant: after every `migrate`, viewers and operators can look at everything of ours and change nothing in the admin
(operators act through the API, which keeps to the state machines); admins may do all that the admin offers.
"""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission

from scheduler_project.toolkit.access import Role

OUR_APPS = frozenset({"scheduler_project", "workers", "graphs", "clusters", "topologies"})
USER_APPS = frozenset({"auth"})


def grant_permissions(sender: AppConfig, **_: Any) -> None:
    """Django's `post_migrate`: makes the groups and gives them the permissions of the app just migrated."""
    if sender.label not in OUR_APPS | USER_APPS:
        return
    permissions = Permission.objects.filter(content_type__app_label=sender.label)
    viewing = permissions.filter(codename__startswith="view_").exclude(content_type__app_label__in=USER_APPS)
    group(Role.ADMIN).permissions.add(*permissions)
    for role in (Role.OPERATOR, Role.VIEWER):
        group(role).permissions.add(*viewing)


def group(role: Role) -> Group:
    """The group that carries the role; made when it is missing."""
    return Group.objects.get_or_create(name=role.name.lower())[0]
