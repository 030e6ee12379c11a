"""Components that are a person's decision: ready means that somebody is asked, and running that the answer is awaited.

Invariant: nothing is in flight while one runs, so what becomes of it is never in doubt.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graphs.providers.base import Provider
from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.errors import Fault

ROLE_KEY = "role"
USERS_KEY = "users"
LAPSE_KEY = "on_timeout"
LAPSES = {"reject": "errored", "approve": "completed"}
ROLES = ("operator", "admin")


class ApprovalProvider(Provider):
    """`role` (operator or admin) who may decide, `users` who alone may, `on_timeout` (reject or approve) and `message`.

    With `_timeout_s` it ends by itself, as `on_timeout` says.
    """

    supports_transaction = True
    waits_for_people = True

    def faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        faults = []
        if document.get(ROLE_KEY, ROLES[0]) not in ROLES:
            faults.append(Fault(f"{path}.{ROLE_KEY}", f"is none of {', '.join(ROLES)}"))
        users = document.get(USERS_KEY, [])
        if not isinstance(users, list) or not all(isinstance(user, str) and user for user in users):
            faults.append(Fault(f"{path}.{USERS_KEY}", "must be a list of names of users"))
        if document.get(LAPSE_KEY, "reject") not in list(LAPSES):
            faults.append(Fault(f"{path}.{LAPSE_KEY}", f"is none of {', '.join(LAPSES)}"))
        return faults

    def lapse(self, document: Mapping[str, Any]) -> str:
        return LAPSES.get(str(document.get(LAPSE_KEY) or "reject"), "errored")

    def why_not_by(self, document: Mapping[str, Any], actor: str, role: Role) -> str:
        needed = Role.ADMIN if document.get(ROLE_KEY) == "admin" else Role.OPERATOR
        users = document.get(USERS_KEY) or []
        if role < needed:
            return f"this needs the role {needed.name.lower()}; yours is {role.name.lower()}"
        if users and actor not in users:
            return f"this is to be decided by {', '.join(users)}"
        return ""

    def awaits(self, document: Mapping[str, Any], handle: str) -> str:
        users = document.get(USERS_KEY) or []
        who = " or ".join(users) if users else f"somebody with the role {document.get(ROLE_KEY, ROLES[0])}"
        return f"waits for the approval of {who}"
