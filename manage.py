#!/usr/bin/env python3
"""Runs Django's commands with this project's settings."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_project.settings")
    from django.core.management import execute_from_command_line

    from scheduler_project.toolkit.errors import SchedulerError

    try:
        execute_from_command_line(sys.argv)
    except SchedulerError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
