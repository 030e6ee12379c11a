"""`manage.py jointoken`: a token with which an agent joins, for first starts and scripts on the control side."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from scheduler_project.toolkit.errors import SchedulerError
from scheduler_project.toolkit.files import write_private
from workers import store

MADE_BY = "manage.py jointoken"


class Command(BaseCommand):
    """Prints a token, or writes one file for each host."""

    help = (
        "Makes a join token and prints it; start an agent with it as SCHEDULER_JOIN_TOKEN. "
        "Example: manage.py jointoken --host host-a --ttl-s 600"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", action="append", default=[], help="the one host that may use it; may be repeated")
        parser.add_argument("--ttl-s", type=float, default=3600, help="how long it may be used (%(default)s s)")
        parser.add_argument("--uses", type=int, default=1, help="how many agents may use it (%(default)s)")
        parser.add_argument("--into", type=Path, help="a folder: each host's token is written to the file of its name")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Raises CommandError with one line that says what to do."""
        if not settings.ENVIRONMENT.get("SECRET_KEY"):
            raise CommandError("SECRET_KEY is not set; a token of this process alone would be of no use")
        if options["into"] and not options["host"]:
            raise CommandError("--into needs --host: one file is written for each")
        try:
            for host in options["host"] or [""]:
                self._make(host, options)
        except (SchedulerError, OSError) as error:
            raise CommandError(str(error)) from error

    def _make(self, host: str, options: dict[str, Any]) -> None:
        ttl = timedelta(seconds=options["ttl_s"])
        _, text = store.make_token(host, ttl, options["uses"], timezone.now(), MADE_BY)
        if options["into"]:
            write_private(options["into"] / host, f"{text}\n")
        else:
            self.stdout.write(str(text))
