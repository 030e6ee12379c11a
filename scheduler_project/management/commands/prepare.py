"""`manage.py prepare`: what has to be done once before the processes of a release start."""

import os
from typing import Any

from django.core.management.base import BaseCommand

from scheduler_project.up import prepare


class Command(BaseCommand):
    help = (
        "Creates or upgrades the tables and makes the user `admin`, with ADMIN_PASSWORD or with a random password that "
        "is shown once. GUEST_PASSWORD makes a user `guest` who may only look. Doing it again changes nothing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        prepare.migrate()
        login = prepare.ensure_login(os.environ.get("ADMIN_PASSWORD"), os.environ.get("GUEST_PASSWORD"))
        self.stdout.write("the tables are up to date")
        if login.password:
            self.stdout.write(f"log in as {login.user} with the password {login.password} (shown this once)")
