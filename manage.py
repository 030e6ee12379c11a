#!/usr/bin/env python3
"""Runs Django's commands with this project's settings."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
    import django.db
    from django.core.management import execute_from_command_line

    from scheduler_project.toolkit.errors import SchedulerError

    try:
        execute_from_command_line(sys.argv)
    except SchedulerError as error:
        sys.exit(f"error: {error}")
    except django.db.Error as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        sys.exit(f"error: the database cannot be used ({reason}); check DATABASE_URL, then run `manage.py migrate`")


if __name__ == "__main__":
    main()
