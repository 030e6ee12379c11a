"""The database of a test run, for other processes."""

import os

from django.db import connection


def database_address() -> str:
    """The DATABASE_URL of the database of this run's tests."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}"
